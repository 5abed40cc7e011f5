// htmx keeps silent about refusals and puts a login page into a dialog: an operator must hear of both.
"use strict";
document.addEventListener("htmx:beforeSwap", (event) => {
  const answer = event.detail.xhr;
  if (new URL(answer.responseURL, window.location.href).pathname.endsWith("/login/")) {
    event.detail.shouldSwap = false;
    window.location.reload(); // the session is over: the whole page asks for the login
  }
});

function tell(sentence) {
  let place = document.getElementById("dialog-error");
  const form = document.getElementById("dialog-form");
  if (!place) {
    place = document.createElement("p");
    place.id = "dialog-error";
    place.className = "trio-dialog-error";
    place.setAttribute("role", "alert");
    const live = document.getElementById("trio-live");
    if (form) form.append(place);
    else if (live) live.prepend(place);
    else return;
  }
  place.textContent = sentence;
}

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.elt.id === "trio-live") return; // asked again in two seconds
  const status = event.detail.xhr.status;
  tell(
    status === 403
      ? "You may not do this. Nothing was done. Reload the page, or ask for the permission."
      : `That did not work (HTTP ${status}). Reload the page and look at what happened before you try again.`,
  );
});
document.addEventListener("htmx:sendError", (event) => {
  if (event.detail.elt.id === "trio-live") return;
  tell("The back office did not answer. Reload the page and look at what happened before you try again.");
});
