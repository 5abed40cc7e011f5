"""Reading orders from request parameters: which parameter each order type needs, and which it forbids."""

from __future__ import annotations

from typing import Final

from simulator.engine.account_book import AccountBook
from simulator.engine.algo_orders import LIMIT_TYPES, AlgoDraft
from simulator.engine.errors import refusal
from simulator.engine.orders import Draft
from simulator.engine.records import CONDITIONAL
from simulator.protocol.params import Params

SIDES: Final = frozenset({"BUY", "SELL"})
POSITION_SIDES: Final = frozenset({"BOTH", "LONG", "SHORT"})
TYPES: Final = frozenset({"LIMIT", "MARKET"}) | CONDITIONAL
TIFS: Final = frozenset({"GTC", "IOC", "FOK", "GTX", "GTD", "RPI", "GTE_GTC"})
WORKING_TYPES: Final = frozenset({"CONTRACT_PRICE", "MARK_PRICE"})
STP_MODES: Final = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
PRICE_MATCHES: Final = frozenset(
    {"NONE", "OPPONENT", "OPPONENT_5", "QUEUE", "QUEUE_5", "QUEUE_10", "QUEUE_20"}
)
RESPONSE_TYPES: Final = frozenset({"ACK", "RESULT"})
GOOD_TILL_MAX: Final = 253_402_300_799_000


# Each reader checks in the order of the real exchange: the first thing that is wrong decides the code.


def read_draft(params: Params, book: AccountBook, now: int) -> Draft:
    """Read an ordinary order. Raises ApiError."""
    symbol, side = params.need("symbol"), _side(params)
    kind = params.need("type")
    if kind not in TYPES:
        raise refusal(-1116)
    if kind in CONDITIONAL:
        raise refusal(-4120)
    draft = Draft(symbol, side, _position_side(params), kind)
    draft.reduce_only = _reduce_only(params, book)
    params.choice("newOrderRespType", RESPONSE_TYPES, -1136)
    draft.client_id = params.client_id("newClientOrderId")
    tif = params.choice("timeInForce", TIFS, -1115)
    if params.boolean("closePosition"):  # libraries send false with every order
        raise refusal(-4136, type=kind)
    if params.boolean("priceProtect"):
        raise refusal(-1106, name="priceprotect")
    if kind == "LIMIT":
        _read_limit(params, draft, tif)
    else:
        _read_market(params, draft, tif)
    for name in ("stopPrice", "activationPrice", "callbackRate"):
        params.forbid(name)
    params.choice("workingType", WORKING_TYPES, -4031)
    draft.stp = _self_trade_prevention(params)
    draft.good_till = _good_till(params, draft.tif, now)
    return draft


def _read_limit(params: Params, draft: Draft, tif: str | None) -> None:
    if tif is None:
        raise refusal(-1102, name="timeinforce")
    draft.tif = tif
    draft.price_match = _price_match(params)
    draft.quantity = params.need_number("quantity")
    if draft.price_match == "NONE":
        draft.price = params.need_number("price")


def _read_market(params: Params, draft: Draft, tif: str | None) -> None:
    if tif is not None:
        raise refusal(-1114)
    params.forbid("price")
    params.forbid("priceMatch")
    draft.quantity = params.need_number("quantity")


def read_algo_draft(params: Params, book: AccountBook, now: int) -> AlgoDraft:
    """Read a conditional order. Raises ApiError."""
    if params.need("algoType") != "CONDITIONAL":
        raise refusal(-1102, name="algotype")
    symbol, side = params.need("symbol"), _side(params)
    kind = params.need("type")
    if kind not in CONDITIONAL:
        raise refusal(-1116)
    draft = AlgoDraft(symbol, side, _position_side(params), kind)
    draft.close_position = _close_position(params, kind)
    draft.reduce_only = _reduce_only(params, book)
    params.choice("newOrderRespType", RESPONSE_TYPES, -1136)
    draft.client_id = params.client_id("clientAlgoId")
    draft.tif = params.choice("timeInForce", TIFS, -1115) or "GTC"
    draft.working = params.choice("workingType", WORKING_TYPES, -4031) or "CONTRACT_PRICE"
    draft.price_protect = bool(params.boolean("priceProtect"))
    draft.stp = _self_trade_prevention(params)
    if kind == "TRAILING_STOP_MARKET":
        _read_trailing(params, draft)
    else:
        draft.trigger = params.need_number("triggerPrice")
        params.forbid("activatePrice")
        params.forbid("callbackRate")
    if not draft.close_position:
        draft.quantity = params.need_number("quantity")
    if kind in LIMIT_TYPES:
        draft.price_match = _price_match(params)
        if draft.price_match == "NONE":
            draft.price = params.need_number("price")
    else:
        if params.number("price"):
            raise refusal(-1106, name="price")
        params.forbid("priceMatch")
    draft.good_till = _good_till(params, draft.tif, now)
    return draft


def _close_position(params: Params, kind: str) -> bool:
    if not params.boolean("closePosition"):
        return False
    if kind not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        raise refusal(-4136, type=kind)
    if params.number("quantity"):
        raise refusal(-4137)
    params.forbid("reduceOnly")
    return True


def _read_trailing(params: Params, draft: AlgoDraft) -> None:
    if params.has("triggerPrice"):
        raise refusal(-2021)
    draft.callback = params.need_number("callbackRate")
    if not 1 <= draft.callback * 10 <= 200:
        raise refusal(-1130, name="callbackRate")
    draft.activate = params.number("activatePrice")


# -- single parameters ----------------------------------------------------------------------------------------


def _side(params: Params) -> str:
    side = params.need("side")
    if side not in SIDES:
        raise refusal(-1117)
    return side


def _position_side(params: Params) -> str:
    return params.choice("positionSide", POSITION_SIDES, -4060) or "BOTH"


def _reduce_only(params: Params, book: AccountBook) -> bool:
    value = params.boolean("reduceOnly")
    if value is not None and book.account.dual:
        raise refusal(-1106, name="reduceonly")
    return bool(value)


def _price_match(params: Params) -> str:
    price_match = params.choice("priceMatch", PRICE_MATCHES, -5037) or "NONE"
    if price_match != "NONE":
        params.forbid("price")
    return price_match


def _self_trade_prevention(params: Params) -> str:
    return params.choice("selfTradePreventionMode", STP_MODES, -5039) or "EXPIRE_MAKER"


def _good_till(params: Params, tif: str, now: int) -> int:
    value = params.integer("goodTillDate")
    if tif != "GTD":
        if value:
            raise refusal(-1106, name="goodtilldate")
        return 0
    if value is None:
        raise refusal(-1102, name="goodtilldate")
    seconds = value // 1000 * 1000
    if not now + 600_000 < seconds < GOOD_TILL_MAX:
        raise refusal(-5040)
    return seconds
