"""Balances, positions, settings, ledger, listen keys, key permissions."""

from __future__ import annotations

from typing import Any

from simulator.engine import account_views
from simulator.engine.decimals import plain
from simulator.engine.errors import refusal
from simulator.engine.margin import margin_of
from simulator.engine.user_events import account_update
from simulator.protocol.context import RequestContext, Route, with_symbol

LISTEN_MS = 60 * 60_000
SUCCESS = {"code": 200, "msg": "success"}


def balance(ctx: RequestContext) -> list[dict[str, Any]]:
    return account_views.balance_rows(ctx.ex, ctx.book, ctx.now)


def account_v3(ctx: RequestContext) -> dict[str, Any]:
    return account_views.account_v3(ctx.ex, ctx.book, ctx.now)


def account_v2(ctx: RequestContext) -> dict[str, Any]:
    return account_views.account_v2(ctx.ex, ctx.book, ctx.now)


def position_risk_v3(ctx: RequestContext) -> list[dict[str, Any]]:
    rows = account_views.live_positions(ctx.ex, ctx.book, ctx.symbol())
    return [account_views.position_risk_v3(ctx.ex, ctx.book, position) for position in rows]


def position_risk_v2(ctx: RequestContext) -> list[dict[str, Any]]:
    rows = account_views.every_position(ctx.ex, ctx.book, ctx.symbol())
    return [account_views.position_risk_v2(ctx.ex, ctx.book, position) for position in rows]


def symbol_config(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.symbol()
    account = ctx.book.account
    rows = []
    for name in [symbol] if symbol else ctx.ex.catalogue.names:
        leverage = ctx.ex.leverage(account, name)
        rows.append(
            {
                "symbol": name,
                "marginType": "ISOLATED" if name in account.isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": leverage,
                "maxNotionalValue": plain(ctx.ex.rules(name).cap_at(leverage)),
            }
        )
    return rows


def account_config(ctx: RequestContext) -> dict[str, Any]:
    account = ctx.book.account
    return {
        "feeTier": 0,
        "canTrade": account.can_trade,
        "canDeposit": True,
        "canWithdraw": account.withdrawals,
        "dualSidePosition": account.dual,
        "updateTime": 0,
        "multiAssetsMargin": account.multi_assets,
        "tradeGroupId": -1,
    }


def get_mode(ctx: RequestContext) -> dict[str, Any]:
    return {"dualSidePosition": ctx.book.account.dual}


def set_mode(ctx: RequestContext) -> dict[str, Any]:
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
    return dict(SUCCESS)


def get_assets_mode(ctx: RequestContext) -> dict[str, Any]:
    return {"multiAssetsMargin": ctx.book.account.multi_assets}


def set_assets_mode(ctx: RequestContext) -> dict[str, Any]:
    """Multi-assets margin is not simulated: switching it on is refused, switching it off changes nothing."""
    ctx.params.need("multiAssetsMargin")
    if ctx.params.boolean("multiAssetsMargin"):
        raise refusal(-1130, name="multiAssetsMargin")
    raise refusal(-4171)


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
        change = {
            "e": "ACCOUNT_CONFIG_UPDATE",
            "E": ctx.now,
            "T": ctx.now,
            "ac": {"s": symbol, "l": leverage},
        }
        ctx.ex.emit(account.name, change)
    return {"symbol": symbol, "leverage": leverage, "maxNotionalValue": plain(cap)}


def set_margin_type(ctx: RequestContext) -> dict[str, Any]:
    symbol = ctx.need_symbol()
    wanted = ctx.params.need("marginType")
    if wanted not in ("ISOLATED", "CROSSED"):
        raise refusal(-1130, name="marginType")
    account = ctx.book.account
    if (wanted == "ISOLATED") == (symbol in account.isolated):
        raise refusal(-4046)
    resting = {order.symbol for order in ctx.book.open_orders.values()}
    if symbol in resting | {algo.symbol for algo in ctx.book.open_algos.values()}:
        raise refusal(-4047)
    if any(position.symbol == symbol for position in ctx.book.held.values()):
        raise refusal(-4048)
    if wanted == "ISOLATED":
        account.isolated.append(symbol)
    else:
        account.isolated.remove(symbol)
    ctx.ex.mark_changed(account)
    return dict(SUCCESS)


def position_margin(ctx: RequestContext) -> dict[str, Any]:
    """Add to, or take from, an isolated position's own wallet."""
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
    answer = {"amount": amount, "code": 200, "msg": "Successfully modify position margin.", "type": kind}
    answer["amount"] = int(amount) if amount == int(amount) else plain(amount)
    return answer


def brackets(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.symbol()
    return [ctx.ex.catalogue.bracket_row(name) for name in ([symbol] if symbol else ctx.ex.catalogue.names)]


def commission_rate(ctx: RequestContext) -> dict[str, Any]:
    account = ctx.book.account
    return {
        "symbol": ctx.need_symbol(),
        "makerCommissionRate": plain(account.maker),
        "takerCommissionRate": plain(account.taker),
        "rpiCommissionRate": "0.00005",
    }


def income(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol, kind = ctx.symbol(), ctx.params.text("incomeType")
    start, stop = ctx.params.span()
    limit = ctx.params.limit(100, 1000)
    if start is None and stop is None:
        start = ctx.now - 7 * 86_400_000
    found = [
        line
        for line in ctx.book.income
        if (symbol is None or line.symbol == symbol)
        and (kind is None or line.type == kind)
        and (start is None or line.time >= start)
        and (stop is None or line.time <= stop)
    ]
    found = found[:limit] if start is not None and ctx.params.has("startTime") else found[-limit:]
    return [account_views.income_row(line) for line in found]


def order_limits(ctx: RequestContext) -> list[dict[str, Any]]:
    return [row for row in ctx.ex.catalogue.info["rateLimits"] if row["rateLimitType"] == "ORDERS"]


def trading_status(ctx: RequestContext) -> dict[str, Any]:
    ctx.symbol()
    return {"indicators": {}, "updateTime": ctx.now}


def fee_burn(_: RequestContext) -> dict[str, Any]:
    return {"feeBurn": False}


def adl_quantile(ctx: RequestContext) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, int]] = {}
    for position in account_views.live_positions(ctx.ex, ctx.book, ctx.symbol()):
        rows.setdefault(position.symbol, {})[position.side] = 2 if position.amount else 0
    return [{"symbol": symbol, "adlQuantile": sides} for symbol, sides in rows.items()]


def listen_start(ctx: RequestContext) -> dict[str, Any]:
    """Make a listen key, or return the live one extended."""
    account = ctx.book.account
    if not account.listen_key or account.listen_until <= ctx.now:
        ctx.ex.by_listen_key.pop(account.listen_key, None)
        account.listen_key = ctx.ex.token(f"listen:{account.name}", 64)
        ctx.ex.by_listen_key[account.listen_key] = ctx.book
    account.listen_until = ctx.now + LISTEN_MS
    ctx.ex.mark_changed(account)
    return {"listenKey": account.listen_key}


def listen_keep(ctx: RequestContext) -> dict[str, Any]:
    account = ctx.book.account
    if not account.listen_key or account.listen_until <= ctx.now:
        raise refusal(-1125)
    account.listen_until = ctx.now + LISTEN_MS
    ctx.ex.mark_changed(account)
    return {"listenKey": account.listen_key}


def listen_close(ctx: RequestContext) -> dict[str, Any]:
    account = ctx.book.account
    ctx.ex.by_listen_key.pop(account.listen_key, None)
    account.listen_key, account.listen_until = "", 0
    ctx.ex.mark_changed(account)
    return {}


def api_restrictions(ctx: RequestContext) -> dict[str, Any]:
    account = ctx.book.account
    return {
        "ipRestrict": account.ip_restricted,
        "createTime": account.created,
        "enableReading": True,
        "enableWithdrawals": account.withdrawals,
        "enableInternalTransfer": account.withdrawals,
        "enableMargin": False,
        "enableFutures": account.can_trade,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }


_S = "SIGNED"
ROUTES = {
    ("GET", "/fapi/v2/balance"): Route(balance, _S, 5),
    ("GET", "/fapi/v3/balance"): Route(balance, _S, 5),
    ("GET", "/fapi/v2/account"): Route(account_v2, _S, 5),
    ("GET", "/fapi/v3/account"): Route(account_v3, _S, 5),
    ("GET", "/fapi/v2/positionRisk"): Route(position_risk_v2, _S, 5),
    ("GET", "/fapi/v3/positionRisk"): Route(position_risk_v3, _S, 5),
    ("GET", "/fapi/v1/symbolConfig"): Route(symbol_config, _S, 5),
    ("GET", "/fapi/v1/accountConfig"): Route(account_config, _S, 5),
    ("GET", "/fapi/v1/positionSide/dual"): Route(get_mode, _S, 30),
    ("POST", "/fapi/v1/positionSide/dual"): Route(set_mode, _S, changes=True),
    ("GET", "/fapi/v1/multiAssetsMargin"): Route(get_assets_mode, _S, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Route(set_assets_mode, _S, changes=True),
    ("POST", "/fapi/v1/leverage"): Route(set_leverage, _S, changes=True),
    ("POST", "/fapi/v1/marginType"): Route(set_margin_type, _S, changes=True),
    ("POST", "/fapi/v1/positionMargin"): Route(position_margin, _S, changes=True),
    ("GET", "/fapi/v1/leverageBracket"): Route(brackets, _S),
    ("GET", "/fapi/v1/commissionRate"): Route(commission_rate, _S, 20),
    ("GET", "/fapi/v1/income"): Route(income, _S, 30),
    ("GET", "/fapi/v1/rateLimit/order"): Route(order_limits, _S),
    ("GET", "/fapi/v1/apiTradingStatus"): Route(trading_status, _S, with_symbol(1, 10)),
    ("GET", "/fapi/v1/feeBurn"): Route(fee_burn, _S, 30),
    ("GET", "/fapi/v1/adlQuantile"): Route(adl_quantile, _S, 5),
    ("POST", "/fapi/v1/listenKey"): Route(listen_start, "KEY", changes=True),
    ("PUT", "/fapi/v1/listenKey"): Route(listen_keep, "KEY", changes=True),
    ("DELETE", "/fapi/v1/listenKey"): Route(listen_close, "KEY", changes=True),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(api_restrictions, _S),
}
