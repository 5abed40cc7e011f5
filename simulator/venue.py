"""The exchange behind its door: takes requests in, lets faults happen, writes the log, keeps the books safe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Final

from simulator.engine import cover as covering
from simulator.engine.account_book import AccountBook
from simulator.engine.algo_orders import vanish
from simulator.engine.catalogue import Catalogue
from simulator.engine.decimals import MONEY
from simulator.engine.errors import ApiError, refusal
from simulator.engine.exchange import Exchange
from simulator.engine.funding import fund
from simulator.engine.orphans import orphans
from simulator.engine.profile import Profile
from simulator.engine.records import STOPS
from simulator.engine.request_log import LogEntry, RequestLog
from simulator.engine.retention import forget_ended
from simulator.engine.timers import run_timers
from simulator.engine.verdict import verdict
from simulator.faults import FOREVER, Fault, Faults
from simulator.prices.history import History
from simulator.prices.source import Prices
from simulator.protocol import account_api, algo_api, market_api, trade_api
from simulator.protocol.auth import check_signature, check_time, key_owner
from simulator.protocol.context import Context, Raw, Route
from simulator.protocol.limits import Limits
from simulator.protocol.params import Params, decode

ROUTES: Final[dict[tuple[str, str], Route]] = {
    **market_api.ROUTES,
    **trade_api.ROUTES,
    **algo_api.ROUTES,
    **account_api.ROUTES,
}
PATHS: Final = frozenset(path for _, path in ROUTES)
CLIENT_IDS: Final = ("newClientOrderId", "clientAlgoId", "origClientOrderId")
BODY_MAX: Final = 1 << 20
JSON_TYPE: Final = "application/json;charset=UTF-8"


@dataclass(slots=True)
class Reply:
    """An answer, and what happens to it on its way: lost, late, or not at all."""

    status: int
    headers: dict[str, str]
    body: bytes
    lost: str = ""  # "answer": executed, connection cut; "before": never arrived
    delay_ms: int = 0
    late: int = 0  # the number under which a late execution will leave its answer


@dataclass(slots=True)
class Late:
    """A request held back by a fault; it executes when it is due."""

    due: int
    number: int
    method: str
    path: str
    values: dict[str, str]
    owner: AccountBook | None
    expires: int


@dataclass(slots=True)
class Venue:
    """One running exchange. Not thread-safe: one caller at a time."""

    ex: Exchange
    prices: Prices
    faults: Faults
    history: History
    limits: Limits
    request_log: RequestLog = field(default_factory=RequestLog)
    cover: covering.CoverHistory = field(default_factory=covering.CoverHistory)
    late: list[Late] = field(default_factory=list)
    late_answers: dict[int, Reply] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)  # accounts whose sockets are to be cut
    collects_events: bool = False  # a shell takes events and trades away; without one they are not collected
    next_retention: int = 0  # when to look for orders to forget
    keep: Callable[[bool], None] | None = None  # writes what changed, before anything is answered

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Bring everything that happens by itself up to this time."""
        with localcontext(MONEY):
            self._tick(now)
            self._commit()

    def _tick(self, now: int) -> None:
        if not self.collects_events:
            self.ex.pending_events.clear()
            self.ex.public_trades.clear()
            self.ex.moved_symbols.clear()
        while self.late and self.late[0].due <= now:
            self._execute_late(self.late.pop(0), now)
        self.prices.advance(self.ex, now)
        if self.ex.triggering or self.ex.next_expiry or self.ex.countdowns:
            run_timers(self.ex, now)
        fund(self.ex, now)
        if now >= self.next_retention:
            self.next_retention = now + 60_000
            for book in self.ex.books.values():
                forget_ended(self.ex, book, now)
        self._refresh(now)

    def _refresh(self, now: int) -> None:
        if self.ex.cover_changed or self.cover.lapses_at:
            covering.refresh(self.ex, self.cover, now)

    def _commit(self, *, by_hand: bool = False) -> None:
        """Write what changed. Prices that move by themselves may wait a little, what a hand did may not."""
        if self.keep is not None:
            self.keep(by_hand)

    # -- requests -------------------------------------------------------------------------------------------------

    def handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes, now: int, ip: str = "127.0.0.1"
    ) -> Reply:
        """Serve one request. Never raises: whatever is wrong becomes an answer."""
        path, _, query = target.partition("?")
        with localcontext(MONEY):
            self._tick(now)
            route = ROUTES.get((method, path))
            if route is None:
                return self._nowhere(method, path, now)
            reply = self._serve(route, method, path, query, headers, body, now, ip)
            self._refresh(now)
            self._commit()
            return reply

    def _nowhere(self, method: str, path: str, now: int) -> Reply:
        status, text = (405, "Method Not Allowed") if path in PATHS else (404, "Not Found")
        self._log(now, "", method, path, {}, status, 0, "refused", "", 0)
        return Reply(
            status,
            {"Content-Type": "text/html"},
            f"<html><body><h2>{status} {text}</h2></body></html>".encode(),
        )

    def _serve(
        self,
        route: Route,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: bytes,
        now: int,
        ip: str,
    ) -> Reply:
        values: dict[str, str] = {}
        owner: AccountBook | None = None
        fault: Fault | None = None
        weight, marks = 0, {}
        try:
            text = _text(body, query)
            values = decode(query, text)
            weight = route.weigh(values)
            marks = self.limits.weigh(ip, weight, now)
            params = Params(values)
            api_key = headers.get("x-mbx-apikey") or headers.get("X-MBX-APIKEY") or ""
            expires = 0
            if route.security != "NONE":
                owner = key_owner(self.ex, api_key)
                if route.security == "SIGNED":
                    check_signature(owner.account.secret, query, text, params)
                    expires = check_time(params, now)
            if route.orders and owner is not None:
                marks |= self.limits.count_orders(owner, route.orders, now)
            fault = self.faults.for_request(self._words(method, path, values, owner), now)
            if fault is not None:
                return self._faulty(fault, route, method, path, values, owner, now, expires, weight, marks)
            answer, _ = self._run(route, values, owner, now)
            effect = "executed" if route.changes else "read"
            self._after(method, path, values, owner, now, True, "")
            self._log(now, owner, method, path, values, 200, 0, effect, "", weight)
            return self._reply(200, answer, marks)
        except ApiError as error:
            self._after(method, path, values, owner, now, False, str(error.code))
            self._log(now, owner, method, path, values, error.status, error.code, "refused",
                      f"#{fault.id} {fault.then['do']}" if fault else "", weight)  # fmt: skip
            return self._reply(error.status, {"code": error.code, "msg": error.msg}, marks | error.headers)

    def _run(
        self, route: Route, values: dict[str, str], owner: AccountBook | None, now: int
    ) -> tuple[Any, Context]:
        ctx = Context(
            self.ex, Params(values, strict=self.ex.profile.strict_booleans), now, self.history, owner
        )
        return route.handler(ctx), ctx

    def _words(
        self, method: str, path: str, values: dict[str, str], owner: AccountBook | None
    ) -> dict[str, str]:
        words = dict(values)
        words["method"], words["path"] = method, path
        words["account"] = owner.account.name if owner else ""
        words["client_id"] = next((values[name] for name in CLIENT_IDS if name in values), "")
        return words

    def _reply(self, status: int, answer: Any, marks: dict[str, str]) -> Reply:
        if isinstance(answer, Raw):
            body = answer.body
        else:
            body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
        return Reply(status, {"Content-Type": JSON_TYPE, **marks}, body)

    # -- faults ---------------------------------------------------------------------------------------------------

    def _faulty(
        self, fault: Fault, route: Route, method: str, path: str, values: dict[str, str], owner: AccountBook | None,
        now: int, expires: int, weight: int, marks: dict[str, str],
    ) -> Reply:  # fmt: skip
        do, then = fault.then["do"], fault.then
        name = f"#{fault.id} {do}"

        def log(status: int, code: int, effect: str) -> None:
            self._log(now, owner, method, path, values, status, code, effect, name, weight)

        if do == "throttle":
            if self._is_exempt(values, owner):
                do = "pass"
            else:
                raise refusal(-1008)
        if do == "refuse":
            error = refusal(int(then.get("code", -1000)), status=None, **_any_words())
            raise ApiError(
                error.code,
                then.get("msg", error.msg),
                int(then.get("status", error.status)),
            )
        if do == "lose_before":
            self._after(method, path, values, owner, now, False, "lost before")
            log(0, 0, "lost_before")
            return Reply(0, {}, b"", lost="before")
        if do == "answer" and not then.get("execute", False):
            self._after(method, path, values, owner, now, False, str(then.get("status", 503)))
            log(int(then.get("status", 503)), 0, "answered")
            return self._said(then, marks)
        if do == "execute_late":
            number = self.ex.next_id("late")
            moment = now + int(then["ms"])
            self.late.append(Late(moment, number, method, path, values, owner, expires))
            self.late.sort(key=lambda item: (item.due, item.number))
            self._after(method, path, values, owner, now, False, "late")
            log(0, 0, "late")
            return Reply(0, {}, b"", lost="answer", late=number)
        pending_events = len(self.ex.pending_events)
        answer, ctx = self._run(route, values, owner, now)
        reply = self._reply(200, answer, marks)
        if owner is not None:
            self._afterwards(do, then, owner, ctx, pending_events, now)
        effect = "executed" if route.changes else "read"
        if do == "lose_answer":
            effect, reply.lost = "lost_answer", "answer"
        elif do == "answer":
            effect, reply = "answered", self._said(then, marks)
        elif do == "delay":
            reply.delay_ms = int(then["ms"])
        unheard = do in ("lose_answer", "answer")
        self._after(method, path, values, owner, now, not unheard, do if unheard else "")
        log(reply.status, 0, effect)
        return reply

    def _said(self, then: dict[str, Any], marks: dict[str, str]) -> Reply:
        body = then.get(
            "body", {"code": -1000, "msg": "Unknown error, please check your request or try again later."}
        )
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, str) else JSON_TYPE
        return Reply(
            int(then.get("status", 503)), {"Content-Type": kind, **marks, **then.get("headers", {})}, raw
        )

    def _afterwards(
        self, do: str, then: dict[str, Any], owner: AccountBook, ctx: Context, pending_events: int, now: int
    ) -> None:
        """Faults that follow an executed request: on its events, or on the conditional order it made."""
        account = owner.account.name
        if do in ("duplicate", "reorder"):
            mine = self.ex.pending_events[pending_events:]
            for _ in mine:
                owner.events.pop()
            again = [*mine, *mine] if do == "duplicate" else mine[::-1]
            self.ex.pending_events[pending_events:] = again
            owner.events.extend(event for _, event in again)
        elif do == "silence_stream":
            self.faults.silent_until[account] = now + int(then["ms"])
        elif do == "drop_stream":
            self.dropped.append(account)
        for client_id in ctx.touched:
            algo = self.ex.algos.get(owner.last_algo_ids.get(client_id, 0))
            if algo is None:
                continue
            if do == "forget_algo":
                algo.hidden_until = now + int(then["ms"]) if "ms" in then else FOREVER
            elif do == "vanish_algo":
                vanish(self.ex, owner, algo)
            elif do == "stick_triggering":
                algo.stuck = True
            self.ex.mark_changed(algo)

    def _is_exempt(self, values: dict[str, str], owner: AccountBook | None) -> bool:
        """Orders that only close are exempt from -1008, and so is everything that is no order."""
        if "side" not in values:
            return True
        closing = values.get("closePosition") == "true" or values.get("reduceOnly") == "true"
        return closing or (values.get("positionSide"), values["side"]) in (("LONG", "SELL"), ("SHORT", "BUY"))

    def _execute_late(self, item: Late, now: int) -> None:
        route = ROUTES[item.method, item.path]
        try:
            if item.expires and item.due > item.expires:
                raise refusal(-5028)
            answer, _ = self._run(route, item.values, item.owner, now)
            reply, effect, code = self._reply(200, answer, {}), "executed", 0
        except ApiError as error:
            reply = self._reply(error.status, {"code": error.code, "msg": error.msg}, {})
            effect, code = "refused", error.code
        self.late_answers[item.number] = reply
        while len(self.late_answers) > 1000:
            del self.late_answers[next(iter(self.late_answers))]
        self._log(now, item.owner, item.method, item.path, item.values, reply.status, code, effect, "late", 0)

    # -- records --------------------------------------------------------------------------------------------------

    def _after(
        self,
        method: str,
        path: str,
        values: dict[str, str],
        owner: AccountBook | None,
        now: int,
        ok: bool,
        why: str,
    ) -> None:
        """Protective requests we refuse or lose excuse the uncovered time of their slot."""
        if method != "POST" or owner is None or path not in ("/fapi/v1/algoOrder", "/fapi/v1/order"):
            return
        self._refresh(now)
        if not self.cover.open:
            return
        protects = values.get("type") in STOPS or self._is_exempt(values, owner)
        if not protects:
            return
        slot = owner.account.name, values.get("symbol", ""), values.get("positionSide", "BOTH")
        if ok:
            covering.note_success(self.ex, self.cover, slot, now)
        elif why.lstrip("-").isdigit() and int(why) not in EXCUSED:
            return  # a rule said no; that is for the customer to know
        else:
            covering.note_refusal(self.ex, self.cover, slot, f"{now} {why}")

    def _log(
        self, now: int, owner: AccountBook | str | None, method: str, path: str, values: dict[str, str], status: int, code: int,
        effect: str, fault: str, weight: int,
    ) -> None:  # fmt: skip
        name = owner.account.name if isinstance(owner, AccountBook) else ""
        shown = {key: value for key, value in values.items() if key != "signature"}
        client_id = next((values[key] for key in CLIENT_IDS if key in values), "")
        entry = LogEntry(
            self.ex.next_id("log"), now, name, method, path, shown, status, code, client_id, effect, fault
        )
        self.request_log.add(entry, weight, save=self.keep is not None)

    def verdict(self, now: int, **times: int) -> dict[str, Any]:
        """Judge what has happened so far. ``times``: the customer's recv_window and absence_margin."""
        with localcontext(MONEY):
            self._refresh(now)
            return verdict(self.ex, self.cover, self.request_log, now, **times)

    def orphans(self, now: int, **times: int) -> list[dict[str, Any]]:
        """Tell which protective orders are orphans now."""
        return orphans(self.ex, self.cover, now, **times)


# Refusals of protective requests that the market or a fault brings, not the customer's mistake.
EXCUSED: Final = frozenset(
    {-2021, -1008, -1000, -1001, -1006, -1007, -1015, -1003, -4131, 503, 500, 502, 504, 408, 418, 429}
)


def _text(body: bytes, query: str) -> str:
    """The body as text. Raises ApiError when it is too large or no UTF-8."""
    if len(body) > BODY_MAX or len(query) > BODY_MAX:
        raise ApiError(-1101, "Request too large.", 413)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise refusal(-1100, name="body", legal="UTF-8") from None


def _any_words() -> dict[str, Any]:
    return {"name": "?", "limit": "?", "legal": "?", "notional": "?", "type": "?", "interval": "?", "read": 0, "sent": 0,
            "hours": 0, "leverage": "?"}  # fmt: skip


def open_venue(
    profile: Profile, catalogue: Catalogue, *, seed: int, prices: str, market_ms: int,
    klines: dict[str, Path] | None = None, speed: Decimal | int = 1,
) -> Venue:  # fmt: skip
    """Put an exchange together. Raises ValueError with a sentence when something does not fit."""
    source = Prices(catalogue, mode=prices, seed=seed, files=klines, speed=speed)
    ex = Exchange(profile, catalogue, seed=seed, start_price=source.start_price)
    with localcontext(MONEY):
        source.begin(ex, market_ms)
    faults = Faults(seed)
    ex.event_filter = faults.on_event
    return Venue(ex, source, faults, History(source, seed), Limits(profile))
