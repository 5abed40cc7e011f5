"""What each action of the fault language does to a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from simulator.engine.algo_orders import vanish
from simulator.engine.errors import ApiError, refusal
from simulator.engine.exchange import Exchange
from simulator.engine.records import FOREVER, Algo
from simulator.faults.injector import FaultInjector
from simulator.prices.history import History
from simulator.protocol.context import Route
from simulator.venue.delayed import DelayedRequest, DelayedRequests
from simulator.venue.execution import execute
from simulator.venue.reply import HTML_TYPE, JSON_TYPE, Outcome, Reply
from simulator.venue.request import Request


@dataclass(frozen=True, slots=True)
class Injection:
    """A request that meets a fault, the action of that fault, and what the actions work on."""

    route: Route
    request: Request
    action: dict[str, Any]
    ex: Exchange
    history: History
    faults: FaultInjector
    delayed: DelayedRequests
    dropped_streams: list[str]

    @property
    def ms(self) -> int:
        return int(self.action["ms"])

    def execute(self) -> Outcome:
        return execute(self.ex, self.history, self.route, self.request)

    def placed_algos(self, outcome: Outcome) -> list[Algo]:
        """The conditional orders that the request placed and that still exist."""
        if self.request.book is None:
            return []
        ids = [self.request.book.last_algo_ids.get(client_id, 0) for client_id in outcome.placed_algos]
        return [self.ex.algos[algo_id] for algo_id in ids if algo_id in self.ex.algos]


def inject(injection: Injection) -> Outcome:
    """Serve a request that meets a fault. Raises ApiError where the fault or the engine refuses it."""
    return ACTIONS[injection.action["do"]](injection)


# -- not executed, or later -----------------------------------------------------------------------------------

# For what a message leaves open and no rule has filled in.
PLACEHOLDERS: Final[dict[str, Any]] = {
    "name": "?", "limit": "?", "legal": "?", "notional": "?", "type": "?", "interval": "?", "read": 0, "sent": 0,
    "hours": 0, "leverage": "?",
}  # fmt: skip


def refuse(injection: Injection) -> Outcome:
    action = injection.action
    error = refusal(int(action.get("code", -1000)), **PLACEHOLDERS)
    raise ApiError(error.code, action.get("msg", error.msg), int(action.get("status", error.status)))


def throttle(injection: Injection) -> Outcome:
    """Orders that only close are exempt, and so is everything that is no order."""
    if injection.request.may_open:
        raise refusal(-1008)
    return injection.execute()


def lose_before(_: Injection) -> Outcome:
    return Outcome(Reply.of_lost("before"), "lost_before", failure="lost before")


def execute_late(injection: Injection) -> Outcome:
    request = injection.request
    delayed = DelayedRequest(request.now + injection.ms, injection.ex.next_id("late"), request)
    injection.delayed.hold(delayed)
    return Outcome(Reply.of_lost("answer", delayed.ident), "late", failure="late")


# -- the answer -----------------------------------------------------------------------------------------------


def answer(injection: Injection) -> Outcome:
    """Give a made-up answer, whether the request is executed or not."""
    reply = _made_up_reply(injection.action, injection.request.headers)
    if not injection.action.get("execute", False):
        body = injection.action.get("body")
        code = int(body.get("code", 0)) if isinstance(body, dict) else 0
        return Outcome(reply, "answered", code, failure=str(reply.status), failure_code=reply.status)
    outcome = injection.execute()
    outcome.reply, outcome.effect, outcome.failure = reply, "answered", "answer"
    return outcome


def _made_up_reply(action: dict[str, Any], headers: dict[str, str]) -> Reply:
    unknown = {"code": -1000, "msg": "Unknown error, please check your request or try again later."}
    body = action.get("body", unknown)
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = HTML_TYPE if isinstance(body, str) else JSON_TYPE
    all_headers = {"Content-Type": kind, **headers, **action.get("headers", {})}
    return Reply(int(action.get("status", 503)), all_headers, raw)


def lose_answer(injection: Injection) -> Outcome:
    outcome = injection.execute()
    outcome.reply.lost, outcome.effect, outcome.failure = "answer", "lost_answer", "lose_answer"
    return outcome


def delay(injection: Injection) -> Outcome:
    outcome = injection.execute()
    outcome.reply.delay_ms = injection.ms
    return outcome


# -- the events -----------------------------------------------------------------------------------------------

Events = list[tuple[str, dict[str, Any]]]


def duplicate(injection: Injection) -> Outcome:
    return _rearrange_events(injection, lambda events: [*events, *events])


def reorder(injection: Injection) -> Outcome:
    return _rearrange_events(injection, lambda events: events[::-1])


def _rearrange_events(injection: Injection, rearrange: Callable[[Events], Events]) -> Outcome:
    pending, book = injection.ex.pending_events, injection.request.book
    before = len(pending)
    outcome = injection.execute()
    if book is not None:
        caused = pending[before:]
        for _ in caused:
            book.events.pop()
        pending[before:] = rearrange(caused)
        book.events.extend(event for _, event in pending[before:])
    return outcome


def silence_stream(injection: Injection) -> Outcome:
    """Drop the account's events from here on; those of the request itself are still sent."""
    outcome = injection.execute()
    if injection.request.book is not None:
        injection.faults.silent_until[injection.request.account] = injection.request.now + injection.ms
    return outcome


def drop_stream(injection: Injection) -> Outcome:
    outcome = injection.execute()
    if injection.request.book is not None:
        injection.dropped_streams.append(injection.request.account)
    return outcome


# -- the conditional order just placed ------------------------------------------------------------------------


def forget_algo(injection: Injection) -> Outcome:
    outcome = injection.execute()
    for algo in injection.placed_algos(outcome):
        algo.hidden_until = injection.request.now + injection.ms if "ms" in injection.action else FOREVER
        injection.ex.mark_changed(algo)
    return outcome


def vanish_algo(injection: Injection) -> Outcome:
    outcome = injection.execute()
    for algo in injection.placed_algos(outcome):
        vanish(injection.ex, injection.ex.book(algo.account), algo)
    return outcome


def stick_triggering(injection: Injection) -> Outcome:
    outcome = injection.execute()
    for algo in injection.placed_algos(outcome):
        algo.stuck = True
        injection.ex.mark_changed(algo)
    return outcome


ACTIONS: Final[dict[str, Callable[[Injection], Outcome]]] = {
    "refuse": refuse,
    "throttle": throttle,
    "lose_before": lose_before,
    "execute_late": execute_late,
    "answer": answer,
    "lose_answer": lose_answer,
    "delay": delay,
    "duplicate": duplicate,
    "reorder": reorder,
    "silence_stream": silence_stream,
    "drop_stream": drop_stream,
    "forget_algo": forget_algo,
    "vanish_algo": vanish_algo,
    "stick_triggering": stick_triggering,
}
