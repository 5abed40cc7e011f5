// A trio's panel is swapped whole. What a person had opened, scrolled and focused in it stays so.
"use strict";
(() => {
  const BOXES = ".trio-scroll, .trio-story";
  const all = (place, selector) => [...place.querySelectorAll(selector)];
  let kept = null;
  // While an answer to a question is on its way the panel asks for nothing: what it found would load the page anew, and with it
  // the sentence that says what came of the answer would be gone.
  // Nor while a question is fetched: the link that asks for it would be swapped away, and its answer with it.
  const FETCHED_MS = 5000;
  let fetching = 0;
  const busy = () => Date.now() - fetching < FETCHED_MS || document.querySelector("#dialog form[data-sent]");
  const asks = (event) => event.detail.target && event.detail.target.id === "modal-content";
  for (const step of ["htmx:beforeRequest", "htmx:beforeOnLoad"]) {
    document.addEventListener(step, (event) => {
      if (event.detail.elt.id === "trio-live" && busy()) event.preventDefault();
      else if (step === "htmx:beforeRequest" && asks(event)) fetching = Date.now();
    });
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    if (asks(event)) fetching = 0;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const panel = event.detail.target;
    if (!panel || panel.id !== "trio-live") return;
    const active = panel.contains(document.activeElement) ? document.activeElement : null;
    kept = {
      open: all(panel, "details").map((details) => details.open),
      at: all(panel, BOXES).map((box) => [box.scrollLeft, box.scrollTop]),
      summary: active && active.matches("summary") ? all(panel, "summary").indexOf(active) : -1,
      href: active && active.getAttribute("href"),
      box: active ? all(panel, BOXES).indexOf(active) : -1,
    };
  });
  document.addEventListener("htmx:afterSwap", () => {
    const panel = document.getElementById("trio-live");
    if (!kept || !panel) return;
    all(panel, "details").forEach((details, at) => (details.open = kept.open[at] || false));
    all(panel, BOXES).forEach((box, at) => kept.at[at] && box.scrollTo(...kept.at[at]));
    if (document.activeElement === document.body) {
      const same =
        all(panel, "summary")[kept.summary] ||
        (kept.box >= 0 && all(panel, BOXES)[kept.box]) ||
        (kept.href && all(panel, "a[href]").find((link) => link.getAttribute("href") === kept.href));
      if (same) same.focus({ preventScroll: true });
    }
    kept = null;
  });
})();
