// Names, and ways by the keyboard, that the admin's own layout leaves out.
"use strict";
(() => {
  const FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const SCROLL = ".trio-scroll, .trio-story, .scroll, .trio-raw, .ticket, pre, #modal-content";

  // A box that scrolls, with nothing in it that takes the focus, takes it itself: arrow keys move it then.
  const boxes = () => {
    for (const box of document.querySelectorAll(SCROLL)) {
      const style = getComputedStyle(box);
      const scrolls =
        (/auto|scroll/.test(style.overflowY) && box.scrollHeight > box.clientHeight) ||
        (/auto|scroll/.test(style.overflowX) && box.scrollWidth > box.clientWidth);
      const wanted = scrolls && !box.querySelector(FOCUSABLE);
      if (wanted && !box.hasAttribute("tabindex")) {
        box.tabIndex = 0;
        box.dataset.scrolls = "";
      } else if (!wanted && "scrolls" in box.dataset && box !== document.activeElement) {
        box.removeAttribute("tabindex");
        delete box.dataset.scrolls;
      }
    }
  };

  const words = (label) => label.textContent.replace(/[*:\s]+$/, "").trim();

  const names = () => {
    for (const tip of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) tip.setAttribute("role", "img");
    for (const box of document.querySelectorAll(".select2-selection[role=combobox]:not([aria-label])")) {
      const select = box.closest(".select2-container") && box.closest(".select2-container").previousElementSibling;
      const label = select && select.id && document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
      if (!label) continue;
      box.setAttribute("aria-label", words(label));
      for (const shown of box.querySelectorAll("[role=textbox]")) shown.setAttribute("aria-label", words(label));
    }
    for (const field of document.querySelectorAll(".select2-search__field:not([aria-label])")) field.setAttribute("aria-label", "Search");
    // A date and its time are two fields under one name.
    for (const field of document.querySelectorAll("input.vDateField:not([aria-label]), input.vTimeField:not([aria-label])")) {
      if (field.labels.length) continue;
      const row = field.closest("[class*='field-']");
      const label = row && row.querySelector("label");
      if (label) field.setAttribute("aria-label", `${words(label)}, ${field.classList.contains("vDateField") ? "date" : "time"}`);
    }
  };

  let asked = false;
  const mend = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      names();
      boxes();
    });
  };
  window.addEventListener("load", () => {
    mend();
    new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
    window.addEventListener("resize", mend);

    // The dialog takes its name from its question. Closed, it is empty, and the focus is where it was.
    const modal = document.getElementById("modal");
    const content = document.getElementById("modal-content");
    if (!modal || !content) return;
    let opener = null;
    document.addEventListener("htmx:beforeRequest", (event) => {
      if (event.detail.target === content) opener = event.detail.elt;
    });
    new MutationObserver(() => {
      // Sent before htmx knows the form, it goes the plain way: to the question's own address, not to this page's.
      for (const form of content.querySelectorAll("form[hx-post]:not([action])")) form.action = form.getAttribute("hx-post");
      // A link that asked may have been drawn anew before the answer: the question is shown all the same.
      if (content.querySelector("#dialog") && window.Alpine) window.Alpine.$data(document.documentElement).openModal = true;
      const title = content.querySelector("h1");
      if (title) modal.setAttribute("aria-label", title.textContent.trim());
      const close = content.querySelector("#dialog > div:first-child");
      if (close) close.setAttribute("aria-hidden", "true"); // “Cancel” and Escape are for the keyboard
    }).observe(content, { childList: true });
    modal.addEventListener("close", () => {
      content.replaceChildren();
      // What opened it may have been drawn anew meanwhile.
      const same = opener && (opener.isConnected ? opener : opener.id && document.getElementById(opener.id));
      if (same && (!document.activeElement || document.activeElement === document.body)) same.focus({ preventScroll: true });
    });
  });
})();
