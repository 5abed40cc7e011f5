// A page that looks live says how old it is, and warns when it is not refreshed any more.
"use strict";
(() => {
  const STALE_S = 5;
  let fresh = Date.now();
  const say = () => {
    for (const place of document.querySelectorAll("[data-age]")) {
      const seconds = Math.max(0, Math.round((Date.now() - fresh) / 1000));
      const panel = place.dataset.age !== "page"; // it refreshes itself
      const stale = seconds >= (panel ? STALE_S : 60);
      // Read aloud once, when it becomes stale; the seconds that are counted are not.
      const fell = stale && !place.classList.contains("trio-age--stale");
      place.classList.toggle("trio-age--stale", stale);
      place.setAttribute("role", fell ? "alert" : "timer");
      const age = seconds < 2 ? "a moment ago" : `${seconds} s ago`;
      if (!panel) place.textContent = stale ? `Read ${age}: reload the page to see how things stand now.` : `Read ${age}.`;
      else if (stale) place.textContent = `Not refreshed for ${seconds} s: what is shown may be old. The back office or the network does not answer.`;
      else place.textContent = `Live: refreshed ${age}.`;
    }
  };
  // Also an answer that nothing has changed (204) is one.
  document.addEventListener("htmx:afterRequest", (event) => {
    const answer = event.detail.xhr;
    if (event.detail.elt.id !== "trio-live" || !answer || answer.status < 200 || answer.status >= 300) return;
    fresh = Date.now();
    say();
  });
  document.addEventListener("desk:fresh", () => {
    fresh = Date.now();
    say();
  });
  window.addEventListener("load", say);
  setInterval(say, 500); // so that what is cut is shown within five seconds
})();
