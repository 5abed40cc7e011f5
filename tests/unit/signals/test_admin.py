"""The pages of signals: sources with their checks, a secret shown once, a payload tried, what became of each signal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from signals.hooks import digest_of
from signals.models import HookPost, HookSecret, HookSource, Signal
from tests.builders import Desk
from tests.unit.orders.operators import BACKEND, SUBMITTED, a_superuser
from tests.unit.signals.hooks import BUY, Sender, a_sender

ADD = "admin:signals_hooksource_add"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


@pytest.fixture
def sender(desk: Desk) -> Sender:
    return a_sender(desk)


def asked(desk: Desk, **said: str) -> dict[str, str]:
    usual = {
        "name": "view", "is_active": "on", "accounts": str(desk.account.pk), "symbols": "btcusdt", "policy": "IGNORE",
        "slippage": "0", "posts_minute": "60", "window_seconds": "60", "repeat_seconds": "600", "mapping": "{}",
    }  # fmt: skip
    return usual | said


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:signals_{name}", args=args)


def test_a_source_is_entered(desk: Desk, operator: Client) -> None:
    operator.post(
        reverse(ADD),
        asked(
            desk,
            size_kind="RISK",
            size_value="1.5",
            mapping='{"symbol": "a.b-c.0"}',
            addresses="192.0.2.0/24 ::1",
        ),
    )

    source = HookSource.objects.get()
    assert (source.symbols, source.mapping, source.addresses) == (
        "BTCUSDT",
        {"symbol": "a.b-c.0"},
        "192.0.2.0/24, ::1",
    )
    assert list(source.accounts.all()) == [desk.account]
    assert "1.5000" not in operator.get(page("hooksource_change", source.pk)).content.decode()


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "Two Words"}, "name"),
        ({"symbols": "BTC/USDT"}, "symbols"),
        ({"symbols": ""}, "symbols"),
        ({"addresses": "300.1.1.1"}, "addresses"),
        ({"mapping": '{"nonsense": "x"}'}, "mapping"),
        ({"mapping": '{"symbol": "{{ x }}"}'}, "mapping"),
        ({"mapping": "[1]"}, "mapping"),
        ({"size_kind": "RISK"}, "size_value"),
        ({"stop_value": "1"}, "stop_value"),
        ({"stop_kind": "R", "stop_value": "1"}, "stop_kind"),
        ({"size_kind": "RISK", "size_value": "-1"}, "size_value"),
        ({"posts_minute": "0"}, "posts_minute"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused_at_its_field(
    desk: Desk, operator: Client, said: dict[str, str], field: str
) -> None:
    response = operator.post(reverse(ADD), asked(desk, **said))
    assert field in response.context["adminform"].form.errors
    assert not HookSource.objects.exists()


def test_a_secret_is_shown_once_and_lets_in(operator: Client, sender: Sender) -> None:
    answer = operator.post(page("hooksource_new_secret", sender.source.pk), SUBMITTED | {"label": "alerts"})
    found = re.search(r"<code data-secret[^>]*>([\w-]{43})<", answer.content.decode())
    assert found is not None
    secret = found[1]

    assert HookSecret.objects.get(label="alerts").digest == digest_of(secret)
    assert sender.post(BUY, secret=secret).status_code == 202
    for url in (page("hooksource_change", sender.source.pk), page("hooksource_history", sender.source.pk)):
        assert secret not in operator.get(url).content.decode()
    assert secret not in str(operator.cookies)


def test_a_secret_is_made_by_a_post_alone(operator: Client, sender: Sender) -> None:
    operator.get(page("hooksource_new_secret", sender.source.pk))
    assert HookSecret.objects.count() == 1


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ('{"symbol": "BTCUSDT.P", "action": "buy"}', "It would be accepted (202)"),
        ('{"symbol": "BTCUSDT.P", "action": "<b>"}', "It would be refused (422)"),
        ("buy", "It would be refused (400)"),
    ],
)
def test_a_payload_is_tried_without_placing(
    operator: Client, sender: Sender, payload: str, words: str
) -> None:
    answer = operator.post(page("hooksource_try_payload", sender.source.pk), SUBMITTED | {"payload": payload})

    assert words in answer.content.decode()
    assert "<b>'" not in answer.content.decode()
    assert sender.counts() == (0, 0, 0)


def test_the_pages_say_what_became_of_a_signal_and_why(operator: Client, sender: Sender) -> None:
    sender.sends(BUY)
    late = sender.sends({**BUY, "action": "sell"})
    sender.post({"action": "buy"})

    one = operator.get(page("signal_change", late.signal_id)).content.decode()
    assert "SLOT_TAKEN" in one
    assert "the policy of this source is “ignore”" in one
    many = operator.get(page("signal_changelist")).content.decode()
    assert "desk: PLACED" in many
    posts = operator.get(page("hookpost_changelist")).content.decode()
    assert "symbol is" in posts
    for row in HookPost.objects.all():
        assert sender.secret not in operator.get(page("hookpost_change", row.pk)).content.decode()


def test_nobody_rewrites_a_signal_or_a_post(operator: Client, sender: Sender) -> None:
    sender.sends(BUY)
    for name, row in (("signal", Signal.objects.get()), ("hookpost", HookPost.objects.get())):
        assert operator.post(page(f"{name}_change", row.pk), {}).status_code == 403
        assert operator.post(page(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403


def test_who_may_only_look_makes_no_secret(sender: Sender) -> None:
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_hooksource"))
    clerk = Client()
    clerk.force_login(user, backend=BACKEND)

    assert clerk.get(page("hooksource_change", sender.source.pk)).status_code == 200
    assert clerk.post(page("hooksource_new_secret", sender.source.pk), SUBMITTED).status_code == 403
    assert HookSecret.objects.count() == 1
