"""Every address of the web, a world in which each admin page has a row, and requests that are taken back again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from unittest import mock

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import SymbolSetting
from orders.bulk import bulk_begin
from orders.domain.enums import BulkVerb
from orders.income import income_read
from orders.models import DriftChoices, RiskLimit
from tests.builders import Desk

# Written by looking alone: who is signed in, and until when.
KEEPS_CHANGING = {"django_session"}


@dataclass(frozen=True, slots=True)
class Address:
    """An address with the names of its parameters in braces."""

    template: str
    name: str
    parameters: tuple[str, ...]
    model: Any = None

    def at(self, **values: str) -> str:
        path = "/" + self.template
        for name in self.parameters:
            path = path.replace("{" + name + "}", values.get(name, "1"), 1)
        return path


def every_address() -> list[Address]:
    """Return all addresses that the web answers at, in the order in which they are looked at."""
    return list(_walk(get_resolver().url_patterns, "", ()))


def _walk(patterns: Any, before: str, names: tuple[str, ...]) -> Iterator[Address]:
    for found in patterns:
        text, own = _as_template(found)
        if isinstance(found, URLResolver):
            yield from _walk(found.url_patterns, before + text, (*names, *own))
        else:
            assert isinstance(found, URLPattern)
            yield Address(before + text, found.name or "", (*names, *own), _model_of(before + text))


def _as_template(found: Any) -> tuple[str, tuple[str, ...]]:
    pattern = found.pattern
    named = tuple(getattr(pattern, "converters", {}))
    text = str(pattern)
    for name in named:
        for converter in ("path:", "int:", ""):
            text = text.replace(f"<{converter}{name}>", "{" + name + "}")
    if (
        not named and "(" in text
    ):  # a regular expression: history of one version, an app's list, whatever else
        named = tuple(pattern.regex.groupindex) or ("object_id", "version_id")
        text = {
            ("object_id", "version_id"): "{object_id}/history/{version_id}/",
            ("app_label",): "{app_label}/",
            ("url",): "{url}",
        }[named]
    return text, named


def _model_of(template: str) -> Any:
    parts = template.split("/")
    for model in admin.site._registry:
        if parts[:3] == ["admin", model._meta.app_label, model._meta.model_name]:
            return model
    return None


@dataclass
class World:
    """A desk with a trio in each state that has a page of its own, and a row behind every other page."""

    desk: Desk
    keys: dict[Any, str] = field(default_factory=dict)

    @classmethod
    def made(cls, desk: Desk) -> World:
        asks = desk.placed(desk.a_trio())
        desk.carry()  # its executions are booked
        asks.refresh_from_db()
        asks.question_kind, asks.question_facts = "OTHER", {"text": "Leave it?"}
        asks.save()
        draft = desk.a_trio()
        SymbolSetting.objects.get_or_create(account=desk.account, symbol="BTCUSDT", defaults={"leverage": 5})
        RiskLimit.objects.create(account=desk.account, trios_open=1000)
        DriftChoices.objects.create(account=desk.account, own_orders="ASK")
        income_read(desk.account)
        bulk_begin(BulkVerb.CANCEL, [draft.pk], by="somebody")
        from signals.files import file_made
        from signals.models import ReplayRun, SizingRule, Strategy
        from tests.unit.signals.hooks import BUY, a_sender
        from tests.unit.signals.test_strategy_pages import a_report

        sender = a_sender(desk, symbols="BTCUSDT")
        sender.post({**BUY, "market_position": "flat"})
        SizingRule.objects.create(account=desk.account, kind="RISK", value=1)
        file_made(
            name="a.csv",
            content=b"account,symbol,side,quantity,stop_loss,take_profit\ndesk,BTCUSDT,BUY,1,1,2\n",
        ).save()
        Strategy.objects.create(name="swing", code="breakout", symbols="BTCUSDT").accounts.add(desk.account)
        ReplayRun.objects.create(code="breakout", symbols="ADAUSDT", hash="0" * 64, report=a_report("1"))
        somebody = User.objects.create_user("somebody", password="x")
        _notices_of(somebody)
        Group.objects.create(name="desk")
        TOTPDevice.objects.create(user=somebody, name="phone")
        StaticDevice.objects.create(user=somebody, name="paper")
        came: dict[str, Any] = {
            "username": "somebody",
            "ip_address": "127.0.0.1",
            "user_agent": "x",
            "path_info": "/",
        }
        AccessAttempt.objects.create(**came, failures_since_start=1)
        AccessLog.objects.create(**came)
        AccessFailureLog.objects.create(**came)
        world = cls(desk)
        for model in admin.site._registry:
            row = model._default_manager.order_by("pk").first()
            assert row is not None, f"no row of {model} to look at"
            world.keys[model] = str(row.pk)
        world.keys[User] = str(somebody.pk)
        world.keys[type(draft)] = str(draft.pk)
        return world

    def path(self, address: Address, **values: str) -> str:
        key = self.keys.get(address.model, "1")
        version = str(self.desk.account.history.first().history_id)
        usual = dict.fromkeys(("object_id", "pk", "id", "trio_id", "run_id", "content_type_id"), key) | {
            "version_id": version,
            "app_label": "orders",
            "url": "nowhere/",
        }
        return address.at(**(usual | values))


def _notices_of(user: User) -> None:
    """Give somebody a row on each page of notices. The destination leads to this machine, where notices never go."""
    from exchange.secret import Secret
    from notices.models import Destination, DestinationUrl, Notice, PriceAlert
    from notices.services import recipient_of

    recipient = recipient_of(user)
    destination = Destination.objects.create(recipient=recipient, name="hook", scheme="jsons")
    DestinationUrl.objects.create(destination=destination, url=Secret("jsons://127.0.0.1:9/token"))
    now = timezone.now()
    said = {"severity": "URGENT", "made_at": now, "due_at": now, "queued_at": now}
    facts = {"strategy": "swing", "fault": "RAISED", "detail": "KeyError"}
    Notice.objects.create(
        recipient=recipient, kind="STRATEGY_DISABLED", cause="strategy-event:1", facts=facts, **said
    )
    PriceAlert.objects.create(
        recipient=recipient, environment="PAPER", symbol="BTCUSDT", side="ABOVE", level=Decimal(1)
    )


@contextlib.contextmanager
def taken_back() -> Iterator[None]:
    """Undo what happens inside. Services may open their own durable transactions there, as in production."""
    connection.set_autocommit(False)
    try:
        with mock.patch("django.db.transaction.on_commit"):  # nothing is committed
            yield
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def wrote_something() -> bool:
    """Has the transaction under way written or locked a row? Cheaper than ``everything``, and true too often."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
        return bool(cursor.fetchone()[0])


def everything() -> dict[str, Any]:
    """Return a sum over the rows of each table: equal before and after means that nothing was changed."""
    tables = [name for name in connection.introspection.table_names() if name not in KEEPS_CHANGING]
    sums = " UNION ALL ".join(
        f"SELECT '{name}', count(*), sum(hashtextextended(t::text, 0)) FROM \"{name}\" t" for name in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(sums)
        return {name: (count, total) for name, count, total in cursor.fetchall()}


def signed_in(user: User, *, csrf: bool = False) -> Client:
    client = Client(enforce_csrf_checks=csrf, raise_request_exception=False)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
