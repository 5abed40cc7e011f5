"""From request parameters to order drafts, by the parameter matrix."""

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
WORKING: Final = frozenset({"CONTRACT_PRICE", "MARK_PRICE"})
STP: Final = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
MATCHES: Final = frozenset({"NONE", "OPPONENT", "OPPONENT_5", "QUEUE", "QUEUE_5", "QUEUE_10", "QUEUE_20"})
RESP: Final = frozenset({"ACK", "RESULT"})
TRAILING: Final = "TRAILING_STOP_MARKET"
GOOD_TILL_MAX: Final = 253_402_300_799_000


def read_draft(params: Params, book: AccountBook, now: int) -> Draft:
    """An ordinary order. Raises ApiError with the code of the first thing that is wrong."""
    symbol = params.need("symbol")
    side = params.need("side")
    if side not in SIDES:
        raise refusal(-1117)
    kind = params.need("type")
    if kind not in TYPES:
        raise refusal(-1116)
    if kind in CONDITIONAL:
        raise refusal(-4120)
    draft = Draft(symbol, side, _position_side(params, book), kind)
    draft.reduce_only = _reduce_only(params, book)
    params.choice("newOrderRespType", RESP, -1136)
    draft.client_id = params.client_id("newClientOrderId")
    tif = params.choice("timeInForce", TIFS, -1115)
    for name in ("closePosition", "priceProtect"):  # libraries send these as false with every order
        if params.boolean(name):
            raise refusal(-4136 if name == "closePosition" else -1106, name=name.lower(), type=kind)
    if kind == "LIMIT":
        if tif is None:
            raise refusal(-1102, name="timeinforce")
        draft.tif = tif
        _matched(params, draft)
        draft.quantity = params.need_number("quantity")
        if draft.price_match == "NONE":
            draft.price = params.need_number("price")
    else:
        if tif is not None:
            raise refusal(-1114)
        params.refuse("price")
        params.refuse("priceMatch")
        draft.quantity = params.need_number("quantity")
    params.refuse("stopPrice")
    params.refuse("activationPrice")
    params.refuse("callbackRate")
    params.choice("workingType", WORKING, -4031)
    draft.stp = params.choice("selfTradePreventionMode", STP, -5039) or "EXPIRE_MAKER"
    draft.good_till = _good_till(params, draft.tif, now)
    return draft


def read_algo_draft(params: Params, book: AccountBook, now: int) -> AlgoDraft:
    """A conditional order. Raises ApiError with the code of the first thing that is wrong."""
    if params.need("algoType") != "CONDITIONAL":
        raise refusal(-1102, name="algotype")
    symbol = params.need("symbol")
    side = params.need("side")
    if side not in SIDES:
        raise refusal(-1117)
    kind = params.need("type")
    if kind not in CONDITIONAL:
        raise refusal(-1116)
    draft = AlgoDraft(symbol, side, _position_side(params, book), kind)
    draft.close_position = bool(params.boolean("closePosition"))
    if draft.close_position:
        if kind not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
            raise refusal(-4136, type=kind)
        if params.number("quantity"):
            raise refusal(-4137)
        params.refuse("reduceOnly")
    draft.reduce_only = _reduce_only(params, book)
    params.choice("newOrderRespType", RESP, -1136)
    draft.client_id = params.client_id("clientAlgoId")
    draft.tif = params.choice("timeInForce", TIFS, -1115) or "GTC"
    draft.working = params.choice("workingType", WORKING, -4031) or "CONTRACT_PRICE"
    draft.price_protect = bool(params.boolean("priceProtect"))
    draft.stp = params.choice("selfTradePreventionMode", STP, -5039) or "EXPIRE_MAKER"
    if kind == TRAILING:
        _trailing(params, draft)
    else:
        draft.trigger = params.need_number("triggerPrice")
        params.refuse("activatePrice")
        params.refuse("callbackRate")
    if not draft.close_position:
        draft.quantity = params.need_number("quantity")
    if kind in LIMIT_TYPES:
        _matched(params, draft)
        if draft.price_match == "NONE":
            draft.price = params.need_number("price")
    else:
        if params.number("price"):
            raise refusal(-1106, name="price")
        params.refuse("priceMatch")
    draft.good_till = _good_till(params, draft.tif, now)
    return draft


def _trailing(params: Params, draft: AlgoDraft) -> None:
    if params.has("triggerPrice"):
        raise refusal(-2021)
    draft.callback = params.need_number("callbackRate")
    if not 0 < draft.callback * 10 <= 200 or draft.callback * 10 < 1:
        raise refusal(-1130, name="callbackRate")
    draft.activate = params.number("activatePrice")


def _position_side(params: Params, book: AccountBook) -> str:
    return params.choice("positionSide", POSITION_SIDES, -4060) or "BOTH"


def _reduce_only(params: Params, book: AccountBook) -> bool:
    value = params.boolean("reduceOnly")
    if value is not None and book.account.dual:
        raise refusal(-1106, name="reduceonly")
    return bool(value)


def _matched(params: Params, draft: Draft | AlgoDraft) -> None:
    draft.price_match = params.choice("priceMatch", MATCHES, -5037) or "NONE"
    if draft.price_match != "NONE":
        params.refuse("price")


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
