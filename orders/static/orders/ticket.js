// The order form answers while one types: the server works it out, and nothing that was typed is ever changed.
"use strict";
window.addEventListener("load", () => {
  const form = document.getElementById("trioorder_form");
  const ticket = document.getElementById("ticket");
  const $ = window.django && window.django.jQuery;
  if (!form || !ticket || !window.fetch) return;
  const PAUSE_MS = 200;
  const AGAIN_MS = 5000; // the market goes on while nobody types
  const place = document.getElementById("ticket-preview");
  const late = ticket.querySelector(".ticket__late");
  const number = form.elements.namedItem("_preview_number");
  let sent = 0;
  let shown = 0;
  let timer = 0;
  let waiting = null;
  ticket.hidden = false;

  const wrapper = (field) => form.querySelector(`.field-${CSS.escape(field)}`);

  const beside = (answer) => {
    for (const old of form.querySelectorAll(".ticket-beside")) old.remove();
    for (const input of form.querySelectorAll("[data-ticket-said]")) {
      input.removeAttribute("data-ticket-said");
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
    for (const said of answer.querySelectorAll("[data-for]")) {
      const field = wrapper(said.dataset.for);
      if (!field) continue; // it stays with the figures
      const input = form.elements.namedItem(said.dataset.for);
      said.classList.add("ticket-beside");
      said.id = `ticket-${said.dataset.for}`;
      field.append(said);
      if (!input || !input.setAttribute) continue;
      input.setAttribute("data-ticket-said", "");
      input.setAttribute("aria-describedby", said.id);
      if (said.classList.contains("ticket-problem")) input.setAttribute("aria-invalid", "true");
    }
  };

  const tell = (sentence) => {
    late.hidden = !sentence;
    late.textContent = sentence;
    ticket.classList.toggle("ticket--late", Boolean(sentence));
  };

  const ask = async () => {
    clearTimeout(timer);
    timer = setTimeout(again, AGAIN_MS);
    if (waiting) waiting.abort();
    waiting = new AbortController();
    const mine = ++sent;
    number.value = String(mine);
    try {
      const answer = await fetch(ticket.dataset.url, {
        method: "POST",
        body: new FormData(form),
        headers: { "X-Requested-With": "XMLHttpRequest" },
        credentials: "same-origin",
        redirect: "error",
        signal: waiting.signal,
      });
      if (!answer.ok) {
        tell(
          answer.status === 403
            ? "These figures are not kept up to date: you may not add trios (any more), or your session is over. Reload the page."
            : `These figures are not kept up to date: the back office answered with HTTP ${answer.status}.`,
        );
        return;
      }
      const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fragment = parsed.querySelector(".ticket-answer");
      if (!fragment) {
        tell("These figures are not kept up to date. Reload the page.");
        return;
      }
      const its = Number(fragment.dataset.number);
      if (its <= shown || mine !== sent) return; // an older answer never replaces a newer one
      shown = its;
      tell("");
      const focused = document.activeElement && document.activeElement.closest(".ticket-take");
      const was = focused && focused.closest("[data-for]").dataset.for;
      const answered = document.importNode(fragment, true);
      beside(answered);
      if (place.innerHTML !== answered.outerHTML) place.replaceChildren(answered);
      if (!was) return;
      const button = form.querySelector(`#ticket-${CSS.escape(was)} .ticket-take`);
      const input = form.elements.namedItem(was);
      (button || input || document.body).focus();
    } catch (error) {
      if (error.name !== "AbortError") tell("These figures are not kept up to date: the back office does not answer.");
    }
  };

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  };
  const again = () => {
    if (!document.hidden) ask();
    else timer = setTimeout(again, AGAIN_MS);
  };

  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  if ($) $(form).on("change", "select", soon); // select2 tells jQuery alone
  form.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest(".ticket-take");
    if (!button) return;
    const input = form.elements.namedItem(button.closest("[data-for]").dataset.for);
    if (!input) return;
    input.value = button.dataset.take;
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  ask();
});

// A form that is on its way is not sent again, and says so.
(() => {
  const words = (button) => button.querySelector("span:last-child") || button;
  const busy = (button, sentence) => {
    if (!button || button.getAttribute("aria-busy")) return;
    button.dataset.was = words(button).textContent;
    words(button).textContent = sentence;
    button.setAttribute("aria-busy", "true");
  };
  const isDialog = (element) => element.matches && element.matches("#dialog form");
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "trioorder_form" || event.defaultPrevented) return;
    if (event.target.dataset.sent) {
      event.preventDefault();
      return;
    }
    event.target.dataset.sent = "yes";
    busy(event.submitter, "Saving…");
  });
  window.addEventListener("pageshow", (event) => {
    // What the browser shows from its memory was sent already.
    if (event.persisted && document.getElementById("trioorder_form")) window.location.reload();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const form = event.detail.elt;
    if (!isDialog(form)) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const places = /\/place\/?$/.test(new URL(form.getAttribute("hx-post"), window.location.href).pathname);
    busy(form.querySelector("button[type=submit]"), places ? "Placing…" : "Sending…");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    const answer = event.detail.xhr;
    if (!isDialog(form) || (answer && answer.getResponseHeader("HX-Redirect"))) return; // it leaves this page
    delete form.dataset.sent;
    const button = form.querySelector("[aria-busy]");
    if (!button) return;
    words(button).textContent = button.dataset.was;
    button.removeAttribute("aria-busy");
  });
})();
