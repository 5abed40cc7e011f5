"""The control endpoints under /sim/: for tests, the demo, and a person at the page."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from simulator.clock import SteppedClock
from simulator.engine.errors import ApiError
from simulator.faults.language import FaultError
from simulator.simulator import DAY_MS, AccountExists, Simulator

NO_NUMBER = "That is not a number."
Answer = tuple[Any, int]  # what goes into the JSON body, and the HTTP status


class Control:
    """Serves /sim/… for one simulator. ``changed`` is called after anything that may have moved the market."""

    def __init__(self, simulator: Simulator, changed: Callable[[], None]) -> None:
        self.simulator = simulator
        self.changed = changed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sim/accounts", self._handler(self.accounts)),
            web.post("/sim/price", self._handler(self.price)),
            web.post("/sim/fill", self._handler(self.fill)),
            web.post("/sim/expire", self._handler(self.expire)),
            web.post("/sim/liquidity", self._handler(self.liquidity)),
            web.post("/sim/amend", self._handler(self.amend)),
            web.post("/sim/own-order", self._handler(self.own_order)),
            web.post("/sim/filters", self._handler(self.filters)),
            web.post("/sim/market", self._handler(self.market)),
            web.post("/sim/clock", self._handler(self.clock)),
            web.get("/sim/log", self._handler(self.log)),
            web.get("/sim/state", self._handler(self.state)),
            web.get("/sim/verdict", self._handler(self.verdict)),
            web.get("/sim/orphans", self._handler(self.orphans)),
            web.get("/sim/faults", self._handler(self.faults)),
            web.post("/sim/faults", self._handler(self.add_fault)),
            web.delete("/sim/faults", self._handler(self.clear_faults)),
            web.get("/sim/events", self._handler(self.events)),
            web.get("/sim/limits", self._handler(self.limits)),
            web.post("/sim/limits", self._handler(self.set_limits)),
            web.post("/sim/ban", self._handler(self.ban)),
            web.post("/sim/latency", self._handler(self.latency)),
            web.get("/sim/summary", self._handler(self.summary)),
        ]

    def _handler(
        self, act: Callable[[web.Request, Any], Answer]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Read the body, answer with JSON, and turn every mistake into one sentence and a 4xx."""

        async def serve(request: web.Request) -> web.StreamResponse:
            if refusal := _foreign(request):
                return _json_response({"error": refusal}, 403)
            try:
                body = await _body(request)
                answer, status = act(request, body)
            except AccountExists as error:
                return _json_response({"error": str(error)}, 409)
            except KeyError as error:
                return _json_response({"error": f"{error.args[0]} is missing."}, 400)
            except (FaultError, ValueError, TypeError, ArithmeticError) as error:
                text = str(error) if not isinstance(error, ArithmeticError) else NO_NUMBER
                return _json_response({"error": text}, 400)
            self.changed()
            return _json_response(answer, status)

        return serve

    def accounts(self, _: web.Request, body: dict[str, Any]) -> Answer:
        made = self.simulator.add_account(
            str(body["name"]), str(body["api_key"]), str(body["api_secret"]), str(body.get("balance", "10000")),
            str(body.get("position_mode", "ONE_WAY")), bool(body.get("withdrawals", False)),
            bool(body.get("ip_restricted", True)),
        )  # fmt: skip
        return {"name": body["name"], "created": made}, 201 if made else 200

    def price(self, _: web.Request, body: dict[str, Any]) -> Answer:
        mark = body.get("mark")
        symbol = str(body["symbol"])
        self.simulator.set_price(
            symbol, str(body["price"]), None if mark is None else str(mark), gap=bool(body.get("gap", False))
        )
        row = self.simulator.snapshot()["symbols"][symbol]
        return {"symbol": symbol, **row}, 200

    def fill(self, _: web.Request, body: dict[str, Any]) -> Answer:
        self.simulator.fill(str(body["client_id"]), str(body["quantity"]), body.get("account"))
        return {"ok": True}, 200

    def expire(self, _: web.Request, body: dict[str, Any]) -> Answer:
        self.simulator.expire(str(body["client_id"]), body.get("account"))
        return {"ms": self.simulator.clock()}, 200

    def liquidity(self, _: web.Request, body: dict[str, Any]) -> Answer:
        self.simulator.liquidity(
            str(body["symbol"]), str(body["quantity_per_level"]), _integer(body.get("levels", 1), "levels"),
            queue=str(body.get("queue", "0")),
        )  # fmt: skip
        return {"ok": True}, 200

    def amend(self, _: web.Request, body: dict[str, Any]) -> Answer:
        try:
            self.simulator.amend(
                str(body["client_id"]), str(body["quantity"]), str(body["price"]), body.get("account")
            )
        except ApiError as error:
            return {"error": error.msg}, 400
        return {"ok": True}, 200

    def own_order(self, _: web.Request, body: dict[str, Any]) -> Answer:
        self.simulator.close_by_exchange(
            str(body["symbol"]), str(body["how"]), body.get("account"), str(body.get("side", "BOTH"))
        )
        return {"ok": True}, 200

    def filters(self, _: web.Request, body: dict[str, Any]) -> Answer:
        changes = {
            str(kind): {str(name): str(value) for name, value in dict(values).items()}
            for kind, values in body.items()
            if kind != "symbol"
        }
        self.simulator.set_filters(str(body["symbol"]), **changes)
        return {"ok": True}, 200

    def market(self, _: web.Request, body: dict[str, Any]) -> Answer:
        prices = self.simulator.venue.prices
        if "speed" in body:
            speed = Decimal(str(body["speed"]))
            if not speed.is_finite() or not 0 < speed <= 100_000:
                raise ValueError("speed is a number above 0 and at most 100000.")
            prices.speed = speed
        mode = body.get("mode")
        if mode not in (None, "run", "pause", "step"):
            raise ValueError("mode is run, pause or step.")
        if mode == "step":
            self.simulator.advance_market(_integer(body["ms"], "ms"))
        elif mode is not None:
            prices.running = mode == "run"
        return {
            "running": prices.running,
            "speed": str(prices.speed),
            "market_ms": self.simulator.ex.market_ms,
        }, 200

    def clock(self, _: web.Request, body: dict[str, Any]) -> Answer:
        clock = self.simulator.clock
        if not isinstance(clock, SteppedClock):
            raise TypeError("The clock runs by itself; start the simulator with --clock to step it.")
        ms = _integer(body.get("forward", 0), "forward")
        if not 0 <= ms <= DAY_MS:
            raise ValueError(
                f"forward is a whole number of milliseconds between 0 and one day ({DAY_MS}), not {ms}."
            )
        clock.forward(ms)
        self.simulator.tick()
        return {"ms": clock()}, 200

    def log(self, request: web.Request, _: Any) -> Answer:
        since = _integer(request.query.get("since", "0"), "since")
        entries = self.simulator.venue.request_log.since(since, request.query.get("account"))
        return [entry.as_dict() for entry in entries], 200

    def state(self, _: web.Request, __: Any) -> Answer:
        return self.simulator.snapshot(), 200

    def verdict(self, request: web.Request, _: Any) -> Answer:
        return self.simulator.verdict(**_client_times(request)), 200

    def orphans(self, request: web.Request, _: Any) -> Answer:
        return self.simulator.orphans(**_client_times(request)), 200

    def events(self, request: web.Request, _: Any) -> Answer:
        """The newest user events of an account; reading does not remove them."""
        book = self.simulator.ex.books.get(request.query.get("account", ""))
        if book is None:
            raise ValueError("Say which account: /sim/events?account=NAME.")
        return list(book.events)[-200:], 200

    def limits(self, _: web.Request, __: Any) -> Answer:
        return self.simulator.limits(), 200

    def set_limits(self, _: web.Request, body: dict[str, Any]) -> Answer:
        return self.simulator.set_limits(**body), 200

    def ban(self, _: web.Request, body: dict[str, Any]) -> Answer:
        until = self.simulator.ban(
            _integer(body["seconds"], "seconds"), address=str(body.get("address", "127.0.0.1")),
            tells=str(body.get("tells", "both")),
        )  # fmt: skip
        return {"ms": self.simulator.clock(), "until": until}, 200

    def latency(self, _: web.Request, body: dict[str, Any]) -> Answer:
        return {"ms": self.simulator.set_latency(_integer(body["ms"], "ms"))}, 200

    def summary(self, _: web.Request, __: Any) -> Answer:
        return self.simulator.venue.request_log.summary(), 200

    def faults(self, _: web.Request, __: Any) -> Answer:
        return [fault.as_dict() for fault in self.simulator.venue.faults.in_force], 200

    def add_fault(self, _: web.Request, body: Any) -> Answer:
        rows = body if isinstance(body, list) else [body]
        made = [self.simulator.venue.faults.add(row).as_dict() for row in rows]
        return made if isinstance(body, list) else made[0], 201

    def clear_faults(self, request: web.Request, _: Any) -> Answer:
        ident = request.query.get("id")
        self.simulator.venue.faults.clear(_integer(ident, "id") if ident else None)
        return {"ok": True}, 200


def _client_times(request: web.Request) -> dict[str, int]:
    """The client's own times: they decide how long a leg may be open whose entry never came."""
    given = {name: request.query.get(name) for name in ("recv_window", "absence_margin")}
    return {name: _integer(value, name) for name, value in given.items() if value is not None}


def _integer(value: object, name: str) -> int:
    """A whole number from a body or a query. Raises ValueError."""
    text = str(value)
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(f"{name} is a whole number, not {text[:40]!r}.")
    return int(text)


def _foreign(request: web.Request) -> str:
    """Why a request is not from this machine's own tools or page; empty if it is.

    A page of another site can make a browser send one here, under its own origin, or under a name that it has
    made to mean this machine.
    """
    try:
        host = urlsplit(f"http://{request.host}").hostname or ""
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        return f"The control door is asked as 127.0.0.1 or localhost, not as {request.host[:60]!r}."
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        return f"The control door is not open to pages of {origin[:60]!r}."
    return ""


async def _body(request: web.Request) -> Any:
    if request.method in ("GET", "DELETE"):
        return {}
    raw = await request.read()
    try:
        body = json.loads(raw or b"{}", parse_float=str)
    except (ValueError, RecursionError) as error:
        raise ValueError("The body is not JSON.") from error
    if not isinstance(body, dict | list) or (isinstance(body, list) and not request.path.endswith("/faults")):
        raise ValueError("The body is a JSON object.")
    return body


def _json_response(answer: Any, status: int) -> web.Response:
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text, status=status, content_type="application/json")
