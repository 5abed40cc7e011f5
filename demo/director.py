"""Places the stories' trios, moves the market through recorded bars, and tells what happens."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import F

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from accounts.services import paper_account_ensure
from demo.bars import WALKS
from demo.stage import DemoFailed, Market, steadily, wait_for
from demo.stories import HEDGE, ONE_WAY, STOPS_REFUSED_ON, STORIES, Story
from exchange.types import PositionMode
from local_servers import manager
from orders import services
from orders.domain.enums import ENDS, TrioState
from orders.domain.errors import IllegalTransition, MarketUnread, OrdersError
from orders.domain.rounding import plain, to_grid
from orders.exchange_data.clock import exchange_now_ms
from orders.exchange_data.symbol_sync import symbols_sync
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import TrioEvent, TrioOrder, Watch
from orders.risk_gates import worker_alive

Say = Callable[[str], None]
OPERATOR = "demo"
BALANCE = Decimal(100_000)
STEP_SECONDS = 0.04  # between two prices of the walk
ENDING_SECONDS = 30.0


@dataclass
class Played:
    """A story and its trio."""

    story: Story
    trio_id: int
    told: int = 0
    notes: list[str] = field(default_factory=list)


class Director:
    def __init__(self, *, say: Say) -> None:
        self._say = say
        self.market = Market()
        self.accounts: dict[str, ExchangeAccount] = {}
        self.played: list[Played] = []

    # --- before the curtain -----------------------------------------------------------------------

    def prepare(self) -> None:
        """Accounts, symbols, a watched market that stands still."""
        self.market.pause()
        self.market.mend()
        synced = steadily(lambda: symbols_sync("PAPER"))
        self._say(f"{synced.total} symbols of the simulated exchange are known.")
        for name, mode in ((ONE_WAY, PositionMode.ONE_WAY), (HEDGE, PositionMode.HEDGE)):
            self.accounts[name] = steadily(
                lambda name=name, mode=mode: paper_account_ensure(  # type: ignore[misc]
                    name=name, balance=BALANCE, position_mode=mode
                )
            )
            self._say(f"Account “{name}” ({mode.value.lower().replace('_', '-')} mode) is ready.")
        wait_for(worker_alive, "No runworker came up within 30 s: see .run/logs/runworker_0.log.")
        for account in self.accounts.values():
            wait_for(
                lambda account=account: self._watched(account),  # type: ignore[misc]
                f"Nobody watches account “{account.name}” after 30 s: see .run/logs/runworker_0.log.",
            )

    @staticmethod
    def _watched(account: ExchangeAccount) -> bool:
        return Watch.objects.filter(account=account, swept_at__gte=F("stream_since")).exists()

    def operator(self) -> str:
        """Return the demo operator's password; made once, kept readable for the owner only."""
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

        steadily(ensure)
        return password

    def carry_on(self) -> list[dict[str, Any]]:
        """Bring what an earlier run left alive to its end, before anything new begins."""
        living = steadily(
            lambda: list(
                TrioOrder.objects.filter(account__in=self.accounts.values())
                .exclude(state__in=[*ENDS, TrioState.DRAFT])
                .order_by("id")
            )
        )
        for trio in living:
            self._say(f"{trio} of an earlier run is still {trio.state}: it is closed now.")
            self._verb(services.trio_close, trio.pk)
        deadline = time.monotonic() + 60
        for trio in living:
            wait_for(
                lambda trio=trio: TrioOrder.objects.get(pk=trio.pk).is_over,  # type: ignore[misc]
                f"{trio} of an earlier run did not reach an end within 60 s; its page in the admin says why.",
                seconds=max(1.0, deadline - time.monotonic()),
            )
        ended = []
        for trio in living:
            trio.refresh_from_db()
            self._say(
                f"{trio} ended {trio.state}{' by ' + trio.result if trio.result else ''}: {trio.reason}"
            )
            ended.append({"trio": trio.pk, "state": trio.state, "result": trio.result or None})
        return ended

    # --- the play ---------------------------------------------------------------------------------

    def play(self) -> None:
        """Place every story's trio, let operator and market act, and narrate until all have ended."""
        for story in STORIES:
            if story.symbol == STOPS_REFUSED_ON:  # said anew: a simulator that was killed has forgotten it
                self.market.mend()
                self.market.refuse_stops(STOPS_REFUSED_ON)
            self._place(story)
            self._until(self._all_stand, "The trio neither stood nor ended within 30 s.")
        self.market.mend()
        for played in self.played:
            if played.story.act:
                self._act(played)
        self._walk()
        self._until(self._all_ended, "Not every trio reached its end.")

    def _place(self, story: Story) -> None:
        account = self.accounts[story.account]
        price = self.market.price(story.symbol)

        def draft() -> TrioOrder:
            symbol = services.symbol_get("PAPER", story.symbol)
            trio = services.trio_draft(
                account=account,
                symbol=symbol,
                side=story.side,
                source="demo",
                **story.fields(symbol, price),
            )
            trio.save()
            return trio

        trio = steadily(draft)
        self.played.append(Played(story, trio.pk))
        entry = f"limit {plain(trio.price)}" if trio.price else f"at market (now {plain(price)})"
        self._say(
            f"[{story.name}] Trio {trio.pk}: {trio.side} {plain(trio.quantity)} {story.symbol} {entry}, stop-loss "
            f"{plain(trio.stop_loss)}, take-profit {plain(trio.take_profit)}, {trio.protection}, account {account.name}."
        )
        self._verb(services.trio_queue, trio.pk)

    def _verb(self, verb: Callable[..., TrioOrder], trio_id: int) -> None:
        """Do a verb; when a server died under it, it may have been done already."""
        tries = 0

        def once() -> None:
            nonlocal tries
            tries += 1
            try:
                verb(trio_id=trio_id, by=OPERATOR)
            except IllegalTransition:
                if tries == 1 and verb is services.trio_queue:
                    raise
            except MarketUnread as refused:
                raise OSError(str(refused)) from refused  # the simulator is being started again

        try:
            steadily(once)
        except OrdersError as refused:
            raise DemoFailed(f"Trio {trio_id} was refused: {refused}") from refused

    def _act(self, played: Played) -> None:
        self._say(f"[{played.story.name}] The operator asks to {played.story.act} it.")
        self._verb(
            services.trio_cancel if played.story.act == "cancel" else services.trio_close, played.trio_id
        )

    def _walk(self) -> None:
        """Move both markets through recorded bars, at today's price level."""
        walks = []
        for walk in WALKS:
            symbol, found = walk.symbol, walk.bars()
            level = self.market.price(symbol) / found[0].open
            tick = services.symbol_get("PAPER", symbol).tick_size or Decimal("0.0001")
            prices = [to_grid(p * level, tick, "ROUND_HALF_EVEN") for bar in found for p in bar.walk()]
            when = datetime.fromtimestamp(found[0].time_ms / 1000, tz=UTC)
            self._say(
                f"{symbol} walks through {len(found)} recorded bars from {when:%Y-%m-%d %H:%M} UTC: "
                f"{plain(prices[0])}, low {plain(min(prices))}, high {plain(max(prices))}."
            )
            walks.append((symbol, prices))
        for step in range(max(len(prices) for _, prices in walks)):
            for symbol, prices in walks:
                if step < len(prices):
                    self.market.move(symbol, prices[step])
            self._narrate()
            time.sleep(STEP_SECONDS)

    def _until(self, what: Callable[[], bool], sentence: str) -> None:
        deadline = time.monotonic() + ENDING_SECONDS
        while True:
            self._narrate()
            if steadily(what):
                self._narrate()
                return
            if time.monotonic() > deadline:
                standing = ", ".join(f"trio {t.pk} is {t.state}" for t in self._trios() if not t.is_over)
                self._say(f"{sentence} ({standing})")
                return
            time.sleep(0.05)

    def _trios(self) -> list[TrioOrder]:
        ids = [played.trio_id for played in self.played]
        return steadily(lambda: list(TrioOrder.objects.filter(pk__in=ids)))

    def _all_stand(self) -> bool:
        return all(trio.is_over or trio.state in ("OPEN", "WORKING") for trio in self._trios())

    def _all_ended(self) -> bool:
        return all(trio.is_over for trio in self._trios())

    def _narrate(self) -> None:
        for played in self.played:
            events = steadily(
                lambda played=played: list(  # type: ignore[misc]
                    TrioEvent.objects.filter(trio_id=played.trio_id, id__gt=played.told).order_by("id")
                )
            )
            for event in events:
                played.told = event.pk
                self._say(f"[{played.story.name}] {event.text}")

    # --- after it ---------------------------------------------------------------------------------

    def review(self) -> list[dict[str, Any]]:
        """Compare how each story ended with how it was told, and with what the exchange itself shows."""
        left = self._left_over()
        rows = []
        for played in self.played:
            trio = steadily(lambda played=played: TrioOrder.objects.get(pk=played.trio_id))  # type: ignore[misc]
            story = played.story
            expected = trio.state == story.state and (not story.result or trio.result == story.result)
            rest = left.get((story.account, story.symbol), [])
            rows.append(
                {
                    "story": story.name,
                    "trio": trio.pk,
                    "account": story.account,
                    "symbol": story.symbol,
                    "side": story.side,
                    "protection": story.protection,
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
        """Ask the exchange what of the stories still rests or is held."""
        left: dict[tuple[str, str], list[str]] = {}
        for name, account in self.accounts.items():
            exchange = steadily(lambda account=account: exchange_for(account.pk))  # type: ignore[misc]
            at = steadily(lambda: exchange_now_ms("PAPER"))
            for order in exchange.open_orders(at=at):
                left.setdefault((name, order.symbol), []).append(f"order {order.client_id}")
            for position in exchange.positions(at=at):
                if position.quantity:
                    left.setdefault((name, position.symbol), []).append(
                        f"position {plain(position.quantity)}"
                    )
        return left

    def journal_breaks(self) -> list[str]:
        """Say where the journal is broken, or tells another story than the books."""
        breaks = steadily(lambda: [found.sentence for found in journal_verify().breaks])
        if not breaks:
            for trio in self._trios():
                breaks += steadily(lambda trio=trio: trio_replay(trio).differences)  # type: ignore[misc]
        return breaks

    def encore(self) -> str:
        """Leave one trio open on a running market, for the admin to look at."""
        story = Story(
            "left open to look at", ONE_WAY, "ADAUSDT", "BUY", Decimal("-0.02"), Decimal("0.02"), "OPEN"
        )
        self._place(story)
        self.market.run()
        return f"http://127.0.0.1:{settings.WEB_PORT}/admin/"
