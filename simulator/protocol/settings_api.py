"""The settings of an account: position mode, leverage, margin type, isolated margin."""

from __future__ import annotations

from typing import Any

from simulator.engine.decimals import plain
from simulator.engine.errors import refusal
from simulator.engine.margin import margin_of
from simulator.engine.user_events import account_update, leverage_update
from simulator.protocol.context import RequestContext, Route

DONE = {"code": 200, "msg": "success"}


def get_position_mode(ctx: RequestContext) -> dict[str, Any]:
    return {"dualSidePosition": ctx.book.account.dual}


def set_position_mode(ctx: RequestContext) -> dict[str, Any]:
    ctx.params.need("dualSidePosition")
    wanted = ctx.params.boolean("dualSidePosition")
    account = ctx.book.account
    if wanted == account.dual:
        raise refusal(-4059)
    if ctx.book.open_orders or ctx.book.open_algos:
        raise refusal(-4067)
    if ctx.book.held:
        raise refusal(-4068)
    account.dual = bool(wanted)
    ctx.ex.mark_changed(account)
    return dict(DONE)


def get_assets_mode(ctx: RequestContext) -> dict[str, Any]:
    return {"multiAssetsMargin": ctx.book.account.multi_assets}


def set_assets_mode(ctx: RequestContext) -> dict[str, Any]:
    """Switch between one margin for each asset and one for all; isolated symbols stand in the way."""
    ctx.params.need("multiAssetsMargin")
    wanted, account = bool(ctx.params.boolean("multiAssetsMargin")), ctx.book.account
    if wanted == account.multi_assets:
        raise refusal(-4171)
    if wanted and account.isolated:
        raise refusal(-4167)
    account.multi_assets = wanted
    ctx.ex.mark_changed(account)
    return dict(DONE)


def set_fee_burn(ctx: RequestContext) -> dict[str, Any]:
    """Have fees paid in BNB, or in the margin asset again."""
    ctx.params.need("feeBurn")
    ctx.book.account.fee_burn = bool(ctx.params.boolean("feeBurn"))
    ctx.ex.mark_changed(ctx.book.account)
    return dict(DONE)


def set_leverage(ctx: RequestContext) -> dict[str, Any]:
    symbol = ctx.need_symbol()
    leverage = ctx.params.need_integer("leverage")
    rules, account = ctx.ex.rules(symbol), ctx.book.account
    if not 1 <= leverage <= max(b.leverage for b in rules.brackets):
        raise refusal(-4028, leverage=leverage)
    before = ctx.ex.leverage(account, symbol)
    held = [p for p in ctx.book.held.values() if p.symbol == symbol]
    if held and symbol in account.isolated and leverage < before:
        raise refusal(-4161)
    cap = rules.cap_at(leverage)
    mark = ctx.ex.market(symbol).mark
    if any(abs(p.amount) * mark > cap for p in held):
        raise refusal(-2027)
    account.leverage[symbol] = leverage
    if held and leverage < before and margin_of(ctx.ex, ctx.book, rules.margin_asset).available <= 0:
        account.leverage[symbol] = before
        raise refusal(-2028)
    ctx.ex.mark_changed(account)
    if leverage != before:
        leverage_update(ctx.ex, ctx.book, symbol, leverage, ctx.now)
    return {"symbol": symbol, "leverage": leverage, "maxNotionalValue": plain(cap)}


def set_margin_type(ctx: RequestContext) -> dict[str, Any]:
    symbol = ctx.need_symbol()
    wanted = ctx.params.need("marginType")
    if wanted not in ("ISOLATED", "CROSSED"):
        raise refusal(-1130, name="marginType")
    account = ctx.book.account
    if (wanted == "ISOLATED") == (symbol in account.isolated):
        raise refusal(-4046)
    if wanted == "ISOLATED" and account.multi_assets:
        raise refusal(-4168)
    with_orders = {order.symbol for order in ctx.book.open_orders.values()}
    if symbol in with_orders | {algo.symbol for algo in ctx.book.open_algos.values()}:
        raise refusal(-4047)
    if any(position.symbol == symbol for position in ctx.book.held.values()):
        raise refusal(-4048)
    if wanted == "ISOLATED":
        account.isolated.append(symbol)
    else:
        account.isolated.remove(symbol)
    ctx.ex.mark_changed(account)
    return dict(DONE)


def position_margin(ctx: RequestContext) -> dict[str, Any]:
    """Add margin to an isolated position, or take some out."""
    symbol = ctx.need_symbol()
    amount = ctx.params.need_number("amount")
    kind = ctx.params.need_integer("type")
    side = ctx.params.choice("positionSide", frozenset({"BOTH", "LONG", "SHORT"}), -4060) or "BOTH"
    if amount <= 0:
        raise refusal(-4055)
    if kind not in (1, 2):
        raise refusal(-1130, name="type")
    position = ctx.book.held.get((symbol, side))
    if position is None or symbol not in ctx.book.account.isolated:
        raise refusal(-2024)
    asset = ctx.ex.rules(symbol).margin_asset
    if kind == 1 and amount > margin_of(ctx.ex, ctx.book, asset).available:
        raise refusal(-4050)
    needed = abs(position.cost) / ctx.ex.leverage(ctx.book.account, symbol)
    if kind == 2 and position.isolated - amount < needed:
        raise refusal(-4051)
    position.isolated += amount if kind == 1 else -amount
    ctx.ex.mark_changed(position)
    account_update(ctx.ex, ctx.book, "MARGIN_TRANSFER", ctx.now, assets=(asset,), positions=(position,))
    shown = int(amount) if amount == int(amount) else plain(amount)
    return {"amount": shown, "code": 200, "msg": "Successfully modify position margin.", "type": kind}


_S = "SIGNED"
ROUTES = {
    ("GET", "/fapi/v1/positionSide/dual"): Route(get_position_mode, _S, 30),
    ("POST", "/fapi/v1/positionSide/dual"): Route(set_position_mode, _S, changes=True),
    ("GET", "/fapi/v1/multiAssetsMargin"): Route(get_assets_mode, _S, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Route(set_assets_mode, _S, changes=True),
    ("POST", "/fapi/v1/feeBurn"): Route(set_fee_burn, _S, changes=True),
    ("POST", "/fapi/v1/leverage"): Route(set_leverage, _S, changes=True),
    ("POST", "/fapi/v1/marginType"): Route(set_margin_type, _S, changes=True),
    ("POST", "/fapi/v1/positionMargin"): Route(position_margin, _S, changes=True),
}
