"""What an account can read about itself: balances, positions, configuration, income, permissions."""

from __future__ import annotations

from typing import Any

from simulator.engine import account_views
from simulator.engine.decimals import plain
from simulator.protocol.context import RequestContext, Route, with_symbol

INCOME_KEPT_MS = 90 * 86_400_000  # "three months"


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
    oldest = ctx.now - INCOME_KEPT_MS
    found = [
        line
        for line in ctx.book.income
        if line.time >= oldest
        and (symbol is None or line.symbol == symbol)
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


def fee_burn(ctx: RequestContext) -> dict[str, Any]:
    return {"feeBurn": ctx.book.account.fee_burn}


def adl_quantile(ctx: RequestContext) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, int]] = {}
    for position in account_views.live_positions(ctx.ex, ctx.book, ctx.symbol()):
        rows.setdefault(position.symbol, {})[position.side] = 2 if position.amount else 0
    return [{"symbol": symbol, "adlQuantile": sides} for symbol, sides in rows.items()]


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
    ("GET", "/fapi/v1/leverageBracket"): Route(brackets, _S),
    ("GET", "/fapi/v1/commissionRate"): Route(commission_rate, _S, 20),
    ("GET", "/fapi/v1/income"): Route(income, _S, 30),
    ("GET", "/fapi/v1/rateLimit/order"): Route(order_limits, _S),
    ("GET", "/fapi/v1/apiTradingStatus"): Route(trading_status, _S, with_symbol(1, 10)),
    ("GET", "/fapi/v1/feeBurn"): Route(fee_burn, _S, 30),
    ("GET", "/fapi/v1/adlQuantile"): Route(adl_quantile, _S, 5),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(api_restrictions, _S),
}
