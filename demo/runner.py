"""Places the scenarios' trios, moves the market through recorded bars, and reports what happens."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import F

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from accounts.services import paper_account_ensure
from demo.bars import STEP_SHARE, WALKS, in_small_steps
from demo.market import Shown, SimulatedMarket
from demo.retry import RETRY_SECONDS, DemoFailed, retrying, wait_for
from demo.scenarios import HEDGE, ONE_WAY, SCENARIOS, STOPS_REFUSED_ON, Scenario
from demo.strategy_story import StrategyStory
from exchange.types import PositionMode
from local_servers import manager
from orders import services
from orders.cli.wait import look
from orders.domain.enums import ENDS, TrioState
from orders.domain.errors import IllegalTransition, MarketUnread, OrdersError
from orders.domain.rounding import plain, to_grid
from orders.exchange_data.clock import exchange_now_ms
from orders.exchange_data.symbol_sync import symbols_sync
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import TrioEvent, TrioOrder, Watch
from orders.placement.snapshot_loader import MAY_REST
from orders.risk_gates import worker_alive

Say = Callable[[str], None]
OPERATOR = "demo"
BALANCE = Decimal(100_000)
TICK_SECONDS = 0.04  # between two prices of the walk, at least
END_SECONDS = 120.0  # a busy machine is no reason to give a story up
PLACE_TRIES, PLACE_AGAIN_SECONDS = 3, 2.0  # by then no price from before is taken for one of now
LEFTOVERS_SECONDS = 120.0
WORKER_LOG = "see .run/logs/runworker_0.log"


@dataclass
class Placed:
    """A scenario, its trio, and the last line of the trio's story that was narrated."""

    scenario: Scenario
    trio_id: int
    narrated: int = 0


class DemoRunner:
    def __init__(self, *, say: Say) -> None:
        self._say = say
        self.market = SimulatedMarket()
        self.accounts: dict[str, ExchangeAccount] = {}
        self.placed: list[Placed] = []
        self._known: Shown | None = None  # what the exchange showed when we last knew all of it

    # --- preparation ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make accounts and symbols known, with the market standing still, and wait until a worker watches."""
        self.market.pause()
        self.market.clear_faults()
        synced = retrying(partial(symbols_sync, "PAPER"))
        self._say(f"{synced.total} symbols of the simulated exchange are known.")
        for name, mode in ((ONE_WAY, PositionMode.ONE_WAY), (HEDGE, PositionMode.HEDGE)):
            self.accounts[name] = retrying(
                partial(paper_account_ensure, name=name, balance=BALANCE, position_mode=mode)
            )
            self._say(f"Account “{name}” ({mode.words}) is ready.")
        wait_for(worker_alive, f"No runworker came up within {RETRY_SECONDS:.0f} s: {WORKER_LOG}.")
        for account in self.accounts.values():
            wait_for(
                Watch.objects.filter(account=account, swept_at__gte=F("stream_since")).exists,
                f"Account “{account.name}” is not watched after {RETRY_SECONDS:.0f} s: {WORKER_LOG}.",
            )

    def operator_password(self) -> str:
        """Return the demo operator's password; made once, readable for the owner only."""
        path = manager.run_dir() / "demo.json"
        try:
            password = str(json.loads(path.read_text())["password"])
        except (OSError, ValueError, KeyError):
            password = secrets.token_urlsafe(9)
            path.touch(mode=0o600)
            path.write_text(json.dumps({"user": OPERATOR, "password": password}))

        def ensure() -> None:
            user, _ = get_user_model().objects.get_or_create(
                username=OPERATOR, defaults={"is_staff": True, "is_superuser": True}
            )
            if not user.check_password(password):
                user.set_password(password)
                user.save()

        retrying(ensure)
        return password

    def close_leftovers(self) -> list[dict[str, Any]]:
        """Close what an earlier run left open, before anything new begins."""
        left = TrioOrder.objects.filter(account__in=self.accounts.values())
        open_trios = retrying(lambda: list(left.exclude(state__in=[*ENDS, TrioState.DRAFT]).order_by("id")))
        for trio in open_trios:
            self._say(f"{trio} of an earlier run is still {trio.state}: closing it.")
            self._request(services.trio_close, trio.pk)
        deadline = time.monotonic() + LEFTOVERS_SECONDS
        for trio in open_trios:
            wait_for(
                TrioOrder.objects.filter(pk=trio.pk, state__in=ENDS).exists,
                f"{trio} of an earlier run did not end within {LEFTOVERS_SECONDS:.0f} s; its page in the admin says why.",
                seconds=max(1.0, deadline - time.monotonic()),
            )
        ended = []
        for trio in open_trios:
            trio.refresh_from_db()
            by = f" by {trio.result}" if trio.result else ""
            self._say(f"{trio} ended {trio.state}{by}: {trio.reason}")
            ended.append({"trio": trio.pk, "state": trio.state, "result": trio.result or None})
        return ended

    # --- the scenarios ----------------------------------------------------------------------------

    def run_scenarios(self) -> None:
        """Place every scenario's trio, let operator and market act, and narrate until all have ended."""
        for scenario in SCENARIOS:
            if (
                scenario.symbol == STOPS_REFUSED_ON
            ):  # set again each time: a killed simulator has forgotten it
                self.market.clear_faults()
                self.market.refuse_stops(STOPS_REFUSED_ON)
            self._place(scenario)
            self._narrate_until(
                self._all_rest, f"The trio neither rested nor ended within {END_SECONDS:.0f} s."
            )
        self.market.clear_faults()
        for placed in self.placed:
            if placed.scenario.operator:
                self._act(placed)
        self._walk()
        self._narrate_until(self._all_ended, "Not every trio ended.")

    def _place(self, scenario: Scenario) -> None:
        """Place a story's trio; where the price has gone past one of its levels meanwhile, once more by today's price."""
        for left in reversed(range(PLACE_TRIES)):
            try:
                self._place_once(scenario)
            except DemoFailed as failed:
                refused = self.placed.pop()
                gone, _ = retrying(TrioOrder.objects.filter(pk=refused.trio_id, state=TrioState.DRAFT).delete)
                if not left or not gone:
                    raise
                self._say(f"[{scenario.name}] {failed} Again, by the price of now.")
                time.sleep(PLACE_AGAIN_SECONDS)
            else:
                return

    def _place_once(self, scenario: Scenario) -> None:
        account = self.accounts[scenario.account]
        self.market.pause()  # a simulator that was killed has forgotten that it stands still
        price = self.market.price(scenario.symbol)

        def draft() -> TrioOrder:
            symbol = services.symbol_get("PAPER", scenario.symbol)
            trio = services.trio_draft(
                account=account,
                symbol=symbol,
                side=scenario.side,
                source="demo",
                **scenario.fields(symbol, price),
            )
            trio.save()
            return trio

        trio = retrying(draft)
        self.placed.append(Placed(scenario, trio.pk))
        entry = f"limit {plain(trio.price)}" if trio.price else f"at market (now {plain(price)})"
        self._say(
            f"[{scenario.name}] Trio {trio.pk}: {trio.side} {plain(trio.quantity)} {scenario.symbol} {entry}, stop-loss "
            f"{plain(trio.stop_loss)}, take-profit {plain(trio.take_profit)}, {trio.protection}, account {account.name}."
        )
        self._request(services.trio_queue, trio.pk)

    def _request(self, service: Callable[..., TrioOrder], trio_id: int) -> None:
        """Call a service on a trio. When a server died under the first try, it may have been done already."""
        tries = 0

        def once() -> None:
            nonlocal tries
            tries += 1
            try:
                service(trio_id=trio_id, by=OPERATOR)
            except IllegalTransition:
                if tries == 1 and service is services.trio_queue:
                    raise
            except MarketUnread as refused:
                raise OSError(str(refused)) from refused  # the simulator is being started again

        try:
            retrying(once)
        except OrdersError as refused:
            raise DemoFailed(f"Trio {trio_id} was refused: {refused}") from refused

    def _act(self, placed: Placed) -> None:
        operator = placed.scenario.operator
        self._say(f"[{placed.scenario.name}] The operator requests {operator}.")
        self._request(services.trio_cancel if operator == "cancel" else services.trio_close, placed.trio_id)

    def _walk(self) -> None:
        """Move both markets through recorded bars, at today's price level.

        No price moves on before everything that the one before it caused is known and done: how a story ends is
        decided by the prices, never by how fast the machine is.
        """
        walks: list[tuple[str, Sequence[Decimal]]] = []
        for walk in WALKS:
            bars = walk.bars()
            level = self.market.price(walk.symbol) / bars[0].open
            tick = services.symbol_get("PAPER", walk.symbol).tick_size or Decimal("0.0001")
            path = in_small_steps((p for bar in bars for p in bar.walk()), share_max=STEP_SHARE)
            prices = [to_grid(price * level, tick, "ROUND_HALF_EVEN") for price in path]
            when = datetime.fromtimestamp(bars[0].time_ms / 1000, tz=UTC)
            self._say(
                f"{walk.symbol} moves through {len(bars)} recorded bars from {when:%Y-%m-%d %H:%M} UTC: "
                f"{plain(prices[0])}, low {plain(min(prices))}, high {plain(max(prices))}."
            )
            walks.append((walk.symbol, prices))
        for step in range(max(len(prices) for _, prices in walks)):
            for symbol, way in walks:
                if step < len(way):
                    self.market.move(symbol, way[step])
            self._narrate_until(
                self._all_known, f"The effects of the price were not complete within {END_SECONDS:.0f} s."
            )
            time.sleep(TICK_SECONDS)

    def _narrate_until(self, what: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + END_SECONDS
        while True:
            self._narrate()
            if retrying(what):
                self._narrate()
                return
            if time.monotonic() > deadline:
                unfinished = ", ".join(f"trio {t.pk} is {t.state}" for t in self._trios() if not t.is_over)
                self._say(f"{failure} ({unfinished})")
                return
            time.sleep(0.05)

    def _trios(self) -> list[TrioOrder]:
        ids = [placed.trio_id for placed in self.placed]
        return retrying(lambda: list(TrioOrder.objects.filter(pk__in=ids)))

    def _all_rest(self) -> bool:
        return all(trio.is_over or trio.state in ("OPEN", "WORKING") for trio in self._trios())

    def _all_known(self) -> bool:
        """Do we know all that the exchange shows, and is there nothing left to do about it?"""
        shown = self.market.shown(list(self.accounts))
        if shown == self._known:
            return True  # nothing happened since
        for placed in self.placed:
            slot = (placed.scenario.account, placed.scenario.symbol)
            trio, rests = look(placed.trio_id)
            live = trio.legs.filter(state__in=MAY_REST).values_list("client_id", flat=True)
            size = abs(trio.slot.quantity) if trio.slot and not trio.is_over else Decimal(0)
            known = (size, frozenset(live)) == (
                shown.positions.get(slot, Decimal(0)),
                shown.resting.get(slot, frozenset()),
            )
            if not (known and (rests or trio.is_over)):
                return False
        self._known = shown
        return True

    def _all_ended(self) -> bool:
        return all(trio.is_over for trio in self._trios())

    def _narrate(self) -> None:
        for placed in self.placed:
            news = TrioEvent.objects.filter(trio_id=placed.trio_id, id__gt=placed.narrated).order_by("id")
            found: list[TrioEvent] = retrying(partial(list, news))
            for event in found:
                placed.narrated = event.pk
                self._say(f"[{placed.scenario.name}] {event.text}")

    def run_strategy(self) -> dict[str, Any]:
        """Let a strategy trade until one of its trios has ended; return how, as a row of the report."""
        return StrategyStory(self.accounts[ONE_WAY], self.market, say=self._say, by=OPERATOR).run()

    # --- the report -------------------------------------------------------------------------------

    def report(self) -> list[dict[str, Any]]:
        """Compare how each trio ended with its scenario, and with what the exchange itself still shows."""
        left = self._left_over()
        rows = []
        for placed in self.placed:
            trio = retrying(partial(TrioOrder.objects.get, pk=placed.trio_id))
            scenario = placed.scenario
            expected = trio.state == scenario.state and (
                not scenario.result or trio.result == scenario.result
            )
            rest = left.get((scenario.account, scenario.symbol), [])
            rows.append(
                {
                    "story": scenario.name,
                    "trio": trio.pk,
                    "account": scenario.account,
                    "symbol": scenario.symbol,
                    "side": scenario.side,
                    "protection": scenario.protection,
                    "state": trio.state,
                    "result": trio.result or None,
                    "reason": trio.reason or None,
                    "uncovered_ms": trio.uncovered_ms,
                    "left_over": rest,
                    "as_told": expected and not rest,
                }
            )
        return rows

    def _left_over(self) -> dict[tuple[str, str], list[str]]:
        """Ask the exchange which orders and positions of the scenarios are still open."""
        left: dict[tuple[str, str], list[str]] = {}
        for name, account in self.accounts.items():
            exchange = retrying(partial(exchange_for, account.pk))
            at = retrying(partial(exchange_now_ms, "PAPER"))
            for order in exchange.open_orders(at=at):
                left.setdefault((name, order.symbol), []).append(f"order {order.client_id}")
            for position in exchange.positions(at=at):
                if position.quantity:
                    left.setdefault((name, position.symbol), []).append(
                        f"position {plain(position.quantity)}"
                    )
        return left

    def journal_breaks(self) -> list[str]:
        """Say where the journal is broken, or disagrees with the database."""
        breaks = retrying(lambda: [found.sentence for found in journal_verify().breaks])
        if not breaks:
            for trio in self._trios():
                breaks += retrying(partial(trio_replay, trio)).differences
        return breaks

    def leave_one_open(self) -> str:
        """Leave one trio open on a moving market, for the admin to show. Returns the admin's address."""
        self._place(
            Scenario(
                "left open to look at", ONE_WAY, "ADAUSDT", "BUY", Decimal("-0.02"), Decimal("0.02"), "OPEN"
            )
        )
        self.market.run()
        return f"http://127.0.0.1:{settings.WEB_PORT}/admin/"
