// Keys of the ticket and of a trio's page. They move the focus or open a question; none of them does anything by itself.
"use strict";
window.addEventListener("load", () => {
  const dialog = document.getElementById("keys");
  const opener = document.getElementById("keys-open");
  const off = document.getElementById("keys-off");
  if (!dialog || !opener || !off || !dialog.showModal) return;
  const KEPT = "keys-off";
  const FIELDS = { q: "id_quantity", p: "id_price", s: "id_stop_loss", t: "id_take_profit" };
  const VERBS = { s: "move-stop", t: "move-target", b: "break-even", p: "close-part", x: "close", c: "cancel", r: "refresh" };
  const remembered = () => {
    try {
      return window.localStorage.getItem(KEPT) === "yes";
    } catch {
      return false; // a browser that keeps nothing
    }
  };
  const verb = (name) =>
    [...document.querySelectorAll("#trio-live .trio-verb[href]")].find((link) =>
      new URL(link.href).pathname.replace(/\/$/, "").endsWith(`/${name}`),
    );

  const show = () => {
    for (const row of dialog.querySelectorAll("tr[data-key]")) {
      const name = VERBS[row.dataset.key];
      row.hidden = name ? !verb(name) : !document.getElementById("remark-note");
    }
    dialog.showModal();
  };

  const onTicket = (key) => {
    if (key === "/") {
      const search = document.querySelector(".field-symbol .select2-selection");
      const symbol = search || document.getElementById("id_symbol");
      if (symbol) symbol.focus();
      if (search && window.django) window.django.jQuery("#id_symbol").select2("open");
      return Boolean(symbol);
    }
    const field = FIELDS[key] && document.getElementById(FIELDS[key]);
    if (!field) return false;
    field.focus();
    field.select();
    return true;
  };

  const onTrio = (key) => {
    const target = key === "n" ? document.getElementById("remark-note") : VERBS[key] && verb(VERBS[key]);
    if (!target) return false;
    if (key === "n") target.focus();
    else target.click();
    return true;
  };

  opener.hidden = false;
  off.checked = remembered();
  opener.addEventListener("click", show);
  off.addEventListener("change", () => {
    try {
      window.localStorage.setItem(KEPT, off.checked ? "yes" : "no");
    } catch {
      // it counts until the page is left
    }
  });
  document.addEventListener("keydown", (event) => {
    const at = event.target;
    const goes = (event.key === "/" || event.key === "?") && at.matches && at.matches("select"); // nothing is chosen by these
    const writes = !goes && at.closest && at.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], .select2-container");
    if (event.key === "Escape" && writes && !document.querySelector(".select2-container--open") && !dialog.open) {
      at.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writes) return;
    if (dialog.open || document.querySelector("#modal-content #dialog")) return;
    if (event.key === "?") show();
    else if (off.checked || !(opener.dataset.keys === "ticket" ? onTicket : onTrio)(event.key)) return;
    event.preventDefault();
  });
});
