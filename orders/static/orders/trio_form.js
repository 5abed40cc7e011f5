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
