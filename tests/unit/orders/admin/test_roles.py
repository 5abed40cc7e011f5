"""Every address of the web for everybody: who may look, who may change what, and that a GET changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from simple_history.models import HistoricalChanges, registered_models

from accounts.models import ExchangeAccount
from orders.admin.trio import STOP_POLLING
from tests.builders import Desk
from tests.unit.orders.admin.every_page import (
    Address,
    World,
    every_address,
    everything,
    signed_in,
    taken_back,
    wrote_something,
)

ROLES = ("anonymous", "no rights", "view-only", "operator", "superuser")
OPERATOR = ("add", "change", "view", "place", "cancel", "close")
FOR_ALL = {"healthz", "login", "logout", ""}  # "": redirects and the admin's own "no such page"
FOR_STAFF = FOR_ALL | {
    "index",
    "desk_live",
    "jsi18n",
    "search",
    "password_change",
    "password_change_done",
    "autocomplete",
    "metrics",
}
OF_BEING_HERE = {"axes_accesslog"}  # who came and went
TRADING = {
    *("orders_trioorder", "orders_leg", "orders_slot", "orders_trioevent", "orders_request", "orders_chain"),
    *("django_admin_log", "orders_journal", "orders_anchor", "orders_bulkrun", "orders_bulkitem"),
    *("orders_driftchoices", "orders_historicaldriftchoices"),
}
OF_TRADING = ("admin/orders/trioorder/", "admin/orders/bulkrun/")


def permissions_of(role: str) -> Any:
    if role == "view-only":
        return Permission.objects.filter(codename__startswith="view_")
    if role == "operator":
        codenames = [f"{verb}_trioorder" for verb in OPERATOR] + ["view_symbol", "view_exchangeaccount"]
        return Permission.objects.filter(codename__in=codenames)
    return Permission.objects.none()


def somebody(role: str, *, csrf: bool) -> Client:
    if role == "anonymous":
        return Client(enforce_csrf_checks=csrf, raise_request_exception=False)
    user, _ = User.objects.get_or_create(
        username=role.replace(" ", "-"), defaults={"is_staff": True, "is_superuser": role == "superuser"}
    )
    user.user_permissions.set(permissions_of(role))
    return signed_in(user, csrf=csrf)


@pytest.fixture
def world(desk: Desk) -> World:
    return World.made(desk)


def sent_to(address: Address) -> dict[str, str]:
    """What would do something, where a form is confirmed, chosen or saved."""
    return {
        "_form_submitted": "True",
        "action": "cancel_selected" if "trioorder" in address.template else "delete_selected",
        "confirmed": "yes",
        "post": "yes",
        "name": "changed",
        "username": "changed",
        "is_active": "on",
        "password1": "a long enough password",
        "password2": "a long enough password",
        "symbol_settings-TOTAL_FORMS": "0",
        "symbol_settings-INITIAL_FORMS": "0",
        "environment": "PAPER",
    }


@pytest.mark.parametrize("role", ROLES)
def test_every_address_for_everybody(world: World, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for way_out in ("requests.Session.send", "exchange.binance.connections.KeptConnections.send"):
        monkeypatch.setattr(way_out, _no_answer)
    free, strict = somebody(role, csrf=False), somebody(role, csrf=True)
    cookies = {client: dict(client.cookies) for client in (free, strict)}
    before = everything()
    wrong: list[str] = []
    for address in every_address():
        path = world.path(address)
        for method, client in (("GET", free), ("POST", free), ("POST without a token", strict)):
            client.cookies.clear()
            client.cookies.update(cookies[client])
            sent = sent_to(address) | {"_selected_action": world.keys.get(address.model, "1")}
            with taken_back():
                answer = client.get(path) if method == "GET" else client.post(path, sent)
                after = everything() if wrote_something() else before
            changed = {table for table in after if after[table] != before[table]} - OF_BEING_HERE
            story = f"{role}: {method} {path} → {answer.status_code}, changed {sorted(changed)}"
            if not _as_it_should(role, method, address, answer, changed):
                wrong.append(story)
    assert not wrong, "\n".join(wrong)


def _no_answer(*args: Any, **options: Any) -> Any:
    raise requests.ConnectionError("no exchange in this test")


def _as_it_should(role: str, method: str, address: Address, answer: Any, changed: set[str]) -> bool:
    status = answer.status_code
    if status >= 500 and not (address.name == "healthz" and status == 503):
        return False
    if method != "POST" and changed - {"auth_user"}:  # auth_user: when somebody was last here
        return False
    if method == "POST without a token":
        return status in (403, 405) or address.name in FOR_ALL or not address.template.startswith("admin/")
    if role == "anonymous":
        turned_away = status in (301, 302, 403, 404, 405, STOP_POLLING)
        return not changed - {"axes_accessattempt", "axes_accessfailurelog"} and (
            turned_away or address.name in FOR_ALL | {"jsi18n", "login"}
        )
    if role == "no rights":
        return not changed and (status in (403, 404, 405, 302) or address.name in FOR_STAFF)
    if role == "view-only":
        return not changed
    if role == "operator":
        if not address.template.startswith(OF_TRADING) and changed:
            return False
        return changed <= TRADING
    return "history" not in address.name or not changed


@pytest.mark.parametrize("role", ["view-only", "operator", "superuser", "changer"])
def test_nobody_rewrites_a_row_from_its_history(world: World, role: str) -> None:
    # Given an account that was renamed, and somebody who posts the form of its history
    account = world.desk.account
    account.name = "renamed"
    account.save()
    client = somebody("view-only" if role == "changer" else role, csrf=False)
    if role == "changer":
        user = User.objects.get(username="view-only")
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    first = account.history.last()
    before = ExchangeAccount.objects.filter(pk=account.pk).values().get()
    form = {"name": "rewritten", "is_active": "", "notes": "x", "_change_history": "1"}

    # When it is posted
    answer = client.post(f"/admin/accounts/exchangeaccount/{account.pk}/history/{first.history_id}/", form)

    # Then nothing is changed, for nobody
    assert answer.status_code == 403
    assert "read-only" in answer.content.decode()
    assert ExchangeAccount.objects.filter(pk=account.pk).values().get() == before


def test_each_model_with_history_has_pages_that_only_show_it() -> None:
    kept = [model for model in registered_models.values() if model in admin.site._registry]
    assert ExchangeAccount in kept
    for model in kept:
        page = admin.site._registry[model]
        assert type(page).history_form_view.__qualname__ == "ReadOnlyHistory.history_form_view", model  # type: ignore[attr-defined]
    assert not [m for m in admin.site._registry if issubclass(m, HistoricalChanges)], (
        "history has no page of its own"
    )
