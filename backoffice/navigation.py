"""The sidebar: what exists and what this person may see."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

# title, symbol, (app, model), permission to view
ENTRIES: Final = (
    ("Trading", "Trio orders", "account_tree", "orders", "trioorder"),
    ("Trading", "Bulk runs", "playlist_play", "orders", "bulkrun"),
    ("Trading", "Positions", "grid_view", "orders", "slot"),
    ("Trading", "Fills", "price_check", "orders", "fill"),
    ("Trading", "Income", "payments", "orders", "income"),
    ("Trading", "Books", "account_balance", "orders", "incomereading"),
    ("Trading", "Exchange calls", "receipt_long", "orders", "request"),
    ("Trading", "Story", "history_edu", "orders", "trioevent"),
    ("Signals", "Signals", "bolt", "signals", "signal"),
    ("Signals", "Webhook sources", "webhook", "signals", "hooksource"),
    ("Signals", "Webhook posts", "inbox", "signals", "hookpost"),
    ("Signals", "Files of trios", "upload_file", "signals", "triofile"),
    ("Signals", "Strategies", "psychology", "signals", "strategy"),
    ("Signals", "Replays", "replay", "signals", "replayrun"),
    ("Set-up", "Accounts", "key", "accounts", "exchangeaccount"),
    ("Set-up", "Limits", "speed", "orders", "risklimit"),
    ("Set-up", "Drift policies", "alt_route", "orders", "driftchoices"),
    ("Set-up", "Sizing", "straighten", "signals", "sizingrule"),
    ("Set-up", "Symbols", "currency_bitcoin", "orders", "symbol"),
    ("Set-up", "Leverage and margin", "tune", "accounts", "symbolsetting"),
    ("Notices", "Notices", "notifications", "notices", "notice"),
    ("Notices", "Price alerts", "notification_important", "notices", "pricealert"),
    ("Notices", "Destinations", "send", "notices", "destination"),
    ("Notices", "My notifications", "tune", "notices", "recipient"),
    ("Running", "Workers", "favorite", "orders", "heartbeat"),
    ("Running", "Watches", "visibility", "orders", "watch"),
    ("Running", "Clocks", "schedule", "orders", "clock"),
    ("Running", "Users", "person", "auth", "user"),
    ("Running", "Groups", "group", "auth", "group"),
)
# Who may see the one may see the other.
SEEN_WITH: Final = {"bulkrun": "trioorder"}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return unfold's navigation: only models that are registered and that the visitor may view."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for group, title, icon, app, model in ENTRIES:
        try:
            link = reverse(f"admin:{app}_{model}_changelist")
        except NoReverseMatch:
            continue
        if _may_view(request, app, model):
            groups.setdefault(group, []).append({"title": title, "icon": icon, "link": link})
    home = [{"title": "Dashboard", "icon": "dashboard", "link": reverse("admin:index")}]
    if request.user.has_perm("orders.view_trioorder"):
        link = reverse("admin:orders_statistics")
        home.append({"title": "Statistics", "icon": "monitoring", "link": link})
    if request.user.has_perm("orders.close_trioorder"):
        home.append({"title": "Panic", "icon": "emergency_home", "link": reverse("admin:orders_panic")})
    return [
        {"title": "", "separator": False, "items": home},
        *({"title": title, "separator": True, "items": items} for title, items in groups.items()),
    ]


def _may_view(request: HttpRequest, app: str, model: str) -> bool:
    if app == "notices":  # everybody's own, for who may see trios
        return request.user.has_perm("orders.view_trioorder")
    seen_with = SEEN_WITH.get(model, model)
    return any(request.user.has_perm(f"{app}.{verb}_{seen_with}") for verb in ("view", "change"))
