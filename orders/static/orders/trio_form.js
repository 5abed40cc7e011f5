// The symbol's search asks for the symbols of the chosen account's environment only.
"use strict";
window.addEventListener("load", () => {
  const $ = window.django && window.django.jQuery;
  const account = document.getElementById("id_account");
  const symbol = document.getElementById("id_symbol");
  if (!$ || !account || !symbol || !symbol.hasAttribute("data-ajax--url")) return;
  const url = symbol.getAttribute("data-ajax--url").split("?")[0];
  const aim = () => {
    const aimed = account.value ? `${url}?account=${encodeURIComponent(account.value)}` : url;
    symbol.setAttribute("data-ajax--url", aimed);
    $(symbol).removeData(); // jQuery remembers the address it read first
    $(symbol).djangoAdminSelect2();
  };
  account.addEventListener("change", aim);
  aim();
});

// Enter picks what is highlighted, and nothing is while the list still shows what was found for other letters.
document.addEventListener(
  "input",
  (event) => {
    if (!event.target.matches || !event.target.matches(".select2-search__field")) return;
    for (const option of document.querySelectorAll(".select2-results__option--highlighted")) {
      option.classList.remove("select2-results__option--highlighted");
      option.setAttribute("aria-selected", "false");
    }
  },
  true,
);

// What is on the screen is what is placed: a draft with unsaved changes is saved first.
window.addEventListener("load", () => {
  const form = document.getElementById("trioorder_form");
  if (!form) return;
  const read = () =>
    JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken" && !name.startsWith("_")));
  let saved = null;
  setTimeout(() => (saved = read()), 0); // once every widget has put its value there
  document.addEventListener(
    "click",
    (event) => {
      const verb = event.target.closest && event.target.closest(".trio-verb[href]");
      if (!verb || saved === null || read() === saved) return;
      if (!/\/(place|validate)\/?$/.test(new URL(verb.href).pathname)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      let place = document.getElementById("trio-unsaved");
      if (!place) {
        place = document.createElement("p");
        place.id = "trio-unsaved";
        place.className = "trio-dialog-error";
        place.setAttribute("role", "alert");
        document.getElementById("trio-live").prepend(place);
      }
      place.textContent = "The form has changes that are not saved. Save the draft first; nothing was placed.";
      place.scrollIntoView({ block: "center" });
    },
    true,
  );
});
