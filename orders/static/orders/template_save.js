// A template is made of what is typed into the order form; the small form beneath it takes that along.
"use strict";
window.addEventListener("load", () => {
  const ticket = document.getElementById("trioorder_form");
  const form = document.getElementById("template-save");
  if (!ticket || !form) return;
  form.hidden = false;
  form.addEventListener("submit", () => {
    for (const old of form.querySelectorAll("[data-term]")) old.remove();
    for (const [name, value] of new FormData(ticket)) {
      if (typeof value !== "string" || name.startsWith("_") || name === "csrfmiddlewaretoken") continue;
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = `term-${name}`;
      field.value = value;
      field.dataset.term = "";
      form.append(field);
    }
  });
});
