"""Letting an endpoint do its work."""

from __future__ import annotations

from simulator.engine.exchange import Exchange
from simulator.prices.history import History
from simulator.protocol.context import RequestContext, Route
from simulator.protocol.params import Params
from simulator.venue.reply import Outcome, Reply
from simulator.venue.request import Request


def execute(ex: Exchange, history: History, route: Route, request: Request) -> Outcome:
    """Execute an admitted request. Raises ApiError where the engine refuses it."""
    params = Params(request.values, strict=ex.profile.strict_booleans)
    context = RequestContext(ex, params, request.now, history, request.book)
    answer = route.handler(context)
    effect = "executed" if route.changes else "read"
    return Outcome(Reply.of(200, answer, request.headers), effect, placed_algos=context.placed_algos)
