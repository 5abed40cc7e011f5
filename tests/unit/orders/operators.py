"""People at the trading pages: who may do what, what they send and what they are told."""

from __future__ import annotations

import html
import re
from typing import Any

from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from orders.models import TrioOrder

BACKEND = "django.contrib.auth.backends.ModelBackend"
LIST = "admin:orders_trioorder_changelist"
SUBMITTED: dict[str, str] = {"_form_submitted": "True"}
VERBS = (
    "place", "validate", "change_entry", "chase", "chase_off", "move_stop", "break_even", "trail", "trail_off", "move_target", "close_part", "add", "set_targets", "reverse",
    "close", "cancel", "refresh", "place_again", "drift_policy", "answer", "answer_close", "answer_cancel",
    "answer_adopt", "leave_unprotected", "protect_again",
)  # fmt: skip


def a_superuser(name: str = "operator", *, csrf: bool = False) -> Client:
    user = User.objects.create_superuser(name, password="x")
    return _signed_in(user, csrf=csrf)


def a_clerk(*permissions: str, name: str = "clerk") -> Client:
    """Somebody of the staff with exactly these permissions on trio orders."""
    user = User.objects.create_user(name, password="x", is_staff=True)
    codenames = [f"{permission}_trioorder" for permission in permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return _signed_in(user)


def _signed_in(user: User, *, csrf: bool = False) -> Client:
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user, backend=BACKEND)
    return client


def page_of(trio: TrioOrder) -> str:
    return reverse("admin:orders_trioorder_change", args=[trio.pk])


def verb_url(verb: str, trio: TrioOrder) -> str:
    return reverse(f"admin:orders_trioorder_{verb}", args=[trio.pk])


def live_url(trio: TrioOrder) -> str:
    return reverse("admin:orders_trioorder_live", args=[trio.pk])


def carried(response: Any) -> dict[str, str]:
    """Return the hidden fields by which a dialog or a list says what it shows."""
    found = re.findall(
        r'<input type="hidden" name="((?:seen|question)[-0-9]*)" value="([^"]*)"', response.content.decode()
    )
    return {name: html.unescape(value) for name, value in found}


def do(client: Client, verb: str, trio: TrioOrder, **typed: str) -> list[str]:
    """Look at a verb's dialog, type into it, confirm it, and return what the operator is told."""
    sent = SUBMITTED | carried(client.get(verb_url(verb, trio))) | typed
    response = client.post(verb_url(verb, trio), sent, headers={"HX-Request": "true"})
    assert response.status_code == 200, response.content.decode()
    assert response.headers["HX-Redirect"] == page_of(trio)
    found = told(response)
    client.cookies.pop("messages", None)  # as if they had been read on the page
    return found


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def draft_form(account: int, symbol: int, /, **changes: Any) -> dict[str, Any]:
    """What the form of a new trio sends."""
    return {
        "account": account,
        "symbol": symbol,
        "side": "BUY",
        "quantity": "0.010",
        "entry_type": "MARKET",
        "price": "",
        "time_in_force": "GTC",
        "stop_loss": "95000",
        "take_profit": "110000",
        "position_side": "",
        "protection": "",
        "target_policy": "ROLL_BACK",
        "good_till_0": "",
        "good_till_1": "",
        "_save": "Save",
    } | changes
