"""Admission: reading a request, charging it to the rate limits, and finding out whose it is."""

from __future__ import annotations

from typing import Final

from simulator.engine.errors import ApiError, refusal
from simulator.engine.exchange import Exchange
from simulator.protocol.auth import check_signature, check_time, find_book
from simulator.protocol.context import Route
from simulator.protocol.limits import Limits
from simulator.protocol.params import Params, decode
from simulator.venue.request import Request

BODY_MAX: Final = 1 << 20


def admit(request: Request, route: Route, ex: Exchange, limits: Limits) -> None:
    """Fill in what a request says and whose it is. Raises ApiError, with what is known by then filled in."""
    body = _body_text(request)
    request.values = decode(request.query, body)
    charge(request, route.weight_of(request.values), limits)
    if route.own_pool:
        limits.charge_funding(request.ip, request.now)
    if route.security == "NONE":
        return
    request.book = find_book(ex, request.api_key)
    if route.security == "SIGNED":
        params = Params(request.values)
        check_signature(request.book.account.secret, request.query, body, params)
        request.expires = check_time(params, request.now)
    if route.orders:
        request.orders = route.orders
        request.headers |= limits.count_orders(request.book, request.ip, route.orders, request.now)


def charge(request: Request, weight: int, limits: Limits) -> None:
    """Charge its address. Raises ApiError 429, 418."""
    request.weight = 0 if limits.is_banned(request.ip, request.now) else weight
    request.headers = limits.charge_weight(request.ip, weight, request.now)


def _body_text(request: Request) -> str:
    """The body as text. Raises ApiError when it is too large or not UTF-8."""
    if len(request.body) > BODY_MAX or len(request.query) > BODY_MAX:
        raise ApiError(-1101, "Request too large.", 413)
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        raise refusal(-1100, name="body", legal="UTF-8") from None
