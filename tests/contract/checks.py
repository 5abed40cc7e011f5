"""Every sample that is checked, with its deliberate differences."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.samples import MADE, NOTE, OLD, REFUSED, THIN, TRAILING, Check
from tests.contract.world import World

PRICE_RATE = {"activatePrice": TRAILING, "priceRate": TRAILING}


def signed(method: str, path: str, **params: Any) -> Any:
    return lambda world: world.ask(method, path, **params)


def public(path: str, query: str = "") -> Any:
    return lambda world: world.body("GET", path, query)


def batch(world: World) -> Any:
    item = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": "50000",
    }
    return world.ask("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([item]))


def amend_batch(world: World) -> Any:
    item = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "origClientOrderId": "rests",
        "quantity": "0.012",
        "price": "59000",
    }
    return world.ask("PUT", "/fapi/v1/batchOrders", batchOrders=json.dumps([item]))


def isolated(world: World) -> Any:
    world.ask("POST", "/fapi/v1/marginType", symbol="ETHUSDT", marginType="ISOLATED")
    world.desk.order("BUY", "MARKET", "1", symbol="ETHUSDT")
    return world.ask("POST", "/fapi/v1/positionMargin", symbol="ETHUSDT", amount="100", type="1")


def hedge(world: World) -> Any:
    return world.poor.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")


def listen(method: str) -> Any:
    def ask(world: World) -> Any:
        world.body("POST", "/fapi/v1/listenKey")
        return world.body(method, "/fapi/v1/listenKey")

    return ask


def cancelled(world: World) -> Any:
    world.desk.order("BUY", "LIMIT", "0.010", price="50000", newClientOrderId="c")
    return world.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="c")


def cancelled_batch(world: World) -> Any:
    world.desk.order("BUY", "LIMIT", "0.010", price="50000", newClientOrderId="c")
    return world.ask("DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", origClientOrderIdList='["c"]')


def cancelled_algo(world: World) -> Any:
    world.desk.algo("BUY", "STOP_MARKET", "70000", quantity="0.010", clientAlgoId="c")
    return world.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="c")


def tested(world: World) -> Any:
    return world.ask(
        "POST", "/fapi/v1/order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010"
    )


def brackets(world: World) -> Any:
    return world.ask("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT")


def forced(world: World) -> Any:
    return world.poor.ask("GET", "/fapi/v1/forceOrders")


def event(name: str, status: str = "", **fields: Any) -> Any:
    return lambda world: world.event(name, status, **fields)


def stream(name: str) -> Any:
    return lambda world: world.stream(name)


def _kline_row(world: World) -> Any:
    return world.body("GET", "/fapi/v1/klines", "symbol=BTCUSDT&interval=1m&limit=3")


BTC = {"symbol": "BTCUSDT"}
KLINES = "symbol=BTCUSDT&interval=1m&limit=3"
D, N, W, C = "official", "nautilus_rest", "nautilus_ws", "captured"

OFFICIAL = [
    Check(D, "check_server_time", "GET /fapi/v1/time", public("/fapi/v1/time")),
    Check(D, "exchange_information", "GET /fapi/v1/exchangeInfo", public("/fapi/v1/exchangeInfo"),
          missing={"settlePlan": "no longer sent by the demo host", "OrderType": "today `orderTypes`",
                   "maxQty": "the sample writes three filters as one", "minQty": "same", "stepSize": "same",
                   "limit": "same", "notional": "same", "multiplierUp": "same", "multiplierDown": "same",
                   "multiplierDecimal": "same"},
          extra={"timezone": OLD, "futuresType": OLD, "orderTypes": "old `OrderType`", "maxMoveOrderLimit": OLD,
                 "permissionSets": OLD, "liquidationFee": THIN, "marketTakeBound": THIN, "timeInForce": THIN},
          kinds={"exchangeFilters": "empty on the real host too", "symbols.underlyingSubType": "empty for the first symbol of the demo list"}),
    Check(D, "kline_candlestick_data", "GET /fapi/v1/klines", public("/fapi/v1/klines", KLINES)),
    Check(D, "mark_price_kline_candlestick_data", "GET /fapi/v1/markPriceKlines", public("/fapi/v1/markPriceKlines", KLINES)),
    Check(D, "index_price_kline_candlestick_data", "GET /fapi/v1/indexPriceKlines",
          public("/fapi/v1/indexPriceKlines", "pair=BTCUSDT&interval=1m&limit=3")),
    Check(D, "mark_price", "GET /fapi/v1/premiumIndex", public("/fapi/v1/premiumIndex", "symbol=BTCUSDT")),
    Check(D, "order_book", "GET /fapi/v1/depth", public("/fapi/v1/depth", "symbol=BTCUSDT&limit=5")),
    Check(D, "symbol_order_book_ticker", "GET /fapi/v1/ticker/bookTicker",
          public("/fapi/v1/ticker/bookTicker", "symbol=BTCUSDT"), extra={"lastUpdateId": "in the live answer of 2026-09"}),
    Check(D, "symbol_price_ticker", "GET /fapi/v1/ticker/price", public("/fapi/v1/ticker/price", "symbol=BTCUSDT")),
    Check(D, "symbol_price_ticker_v2", "GET /fapi/v2/ticker/price", public("/fapi/v2/ticker/price", "symbol=BTCUSDT")),
    Check(D, "ticker24hr_price_change_statistics", "GET /fapi/v1/ticker/24hr", public("/fapi/v1/ticker/24hr", "symbol=BTCUSDT")),
    Check(D, "get_funding_rate_history", "GET /fapi/v1/fundingRate", public("/fapi/v1/fundingRate", "symbol=BTCUSDT")),
    Check(D, "recent_trades_list", "GET /fapi/v1/trades", public("/fapi/v1/trades", "symbol=BTCUSDT")),
    Check(D, "old_trades_lookup", "GET /fapi/v1/historicalTrades", public("/fapi/v1/historicalTrades", "symbol=BTCUSDT")),
    Check(D, "compressed_aggregate_trades_list", "GET /fapi/v1/aggTrades", public("/fapi/v1/aggTrades", "symbol=BTCUSDT")),
    Check(D, "open_interest", "GET /fapi/v1/openInterest", public("/fapi/v1/openInterest", "symbol=BTCUSDT")),
    Check(D, "new_order", "POST /fapi/v1/order", lambda world: world.market),
    Check(D, "test_order", "POST /fapi/v1/order/test", tested, missing=PRICE_RATE),
    Check(D, "query_order", "GET /fapi/v1/order", signed("GET", "/fapi/v1/order", **BTC, origClientOrderId="rests"),
          missing=PRICE_RATE),
    Check(D, "cancel_order", "DELETE /fapi/v1/order", cancelled, missing=PRICE_RATE),
    Check(D, "modify_order", "PUT /fapi/v1/order", lambda world: world.amended),
    Check(D, "place_multiple_orders", "POST /fapi/v1/batchOrders", batch, missing={"code": REFUSED, "msg": REFUSED}),
    Check(D, "modify_multiple_orders", "PUT /fapi/v1/batchOrders", amend_batch, missing={"code": REFUSED, "msg": REFUSED}),
    Check(D, "cancel_multiple_orders", "DELETE /fapi/v1/batchOrders", cancelled_batch,
          missing={"code": REFUSED, "msg": REFUSED, **PRICE_RATE}),
    Check(D, "query_current_open_order", "GET /fapi/v1/openOrder",
          signed("GET", "/fapi/v1/openOrder", **BTC, origClientOrderId="rests"), missing=PRICE_RATE),
    Check(D, "current_all_open_orders", "GET /fapi/v1/openOrders", signed("GET", "/fapi/v1/openOrders"), missing=PRICE_RATE),
    Check(D, "all_orders", "GET /fapi/v1/allOrders", signed("GET", "/fapi/v1/allOrders", **BTC), missing=PRICE_RATE),
    Check(D, "cancel_all_open_orders", "DELETE /fapi/v1/allOpenOrders", signed("DELETE", "/fapi/v1/allOpenOrders", **BTC)),
    Check(D, "auto_cancel_all_open_orders", "POST /fapi/v1/countdownCancelAll",
          signed("POST", "/fapi/v1/countdownCancelAll", **BTC, countdownTime="100000")),
    Check(D, "get_order_modify_history", "GET /fapi/v1/orderAmendment",
          signed("GET", "/fapi/v1/orderAmendment", **BTC, origClientOrderId="rests")),
    Check(D, "account_trade_list", "GET /fapi/v1/userTrades", signed("GET", "/fapi/v1/userTrades", **BTC)),
    Check(D, "users_force_orders", "GET /fapi/v1/forceOrders", forced),
    Check(D, "new_algo_order", "POST /fapi/v1/algoOrder", lambda world: world.algo),
    Check(D, "query_algo_order", "GET /fapi/v1/algoOrder", signed("GET", "/fapi/v1/algoOrder", clientAlgoId="bnb")),
    Check(D, "current_all_algo_open_orders", "GET /fapi/v1/openAlgoOrders", signed("GET", "/fapi/v1/openAlgoOrders")),
    Check(D, "query_all_algo_orders", "GET /fapi/v1/allAlgoOrders", signed("GET", "/fapi/v1/allAlgoOrders", symbol="BNBUSDT")),
    Check(D, "cancel_algo_order", "DELETE /fapi/v1/algoOrder", cancelled_algo),
    Check(D, "cancel_all_algo_open_orders", "DELETE /fapi/v1/algoOpenOrders", signed("DELETE", "/fapi/v1/algoOpenOrders", **BTC)),
    Check(D, "futures_account_balance_v2", "GET /fapi/v2/balance", signed("GET", "/fapi/v2/balance")),
    Check(D, "futures_account_balance_v3", "GET /fapi/v3/balance", signed("GET", "/fapi/v3/balance")),
    Check(D, "account_information_v2", "GET /fapi/v2/account", signed("GET", "/fapi/v2/account"),
          extra={"breakEvenPrice": OLD}),
    Check(D, "account_information_v3", "GET /fapi/v3/account", signed("GET", "/fapi/v3/account")),
    Check(D, "position_information_v2", "GET /fapi/v2/positionRisk", signed("GET", "/fapi/v2/positionRisk", **BTC)),
    Check(D, "position_information_v3", "GET /fapi/v3/positionRisk", signed("GET", "/fapi/v3/positionRisk", **BTC)),
    Check(D, "symbol_configuration", "GET /fapi/v1/symbolConfig", signed("GET", "/fapi/v1/symbolConfig", **BTC)),
    Check(D, "futures_account_configuration", "GET /fapi/v1/accountConfig", signed("GET", "/fapi/v1/accountConfig")),
    Check(D, "get_current_position_mode", "GET /fapi/v1/positionSide/dual", signed("GET", "/fapi/v1/positionSide/dual")),
    Check(D, "change_position_mode", "POST /fapi/v1/positionSide/dual", hedge),
    Check(D, "get_current_multi_assets_mode", "GET /fapi/v1/multiAssetsMargin", signed("GET", "/fapi/v1/multiAssetsMargin")),
    Check(D, "change_initial_leverage", "POST /fapi/v1/leverage", signed("POST", "/fapi/v1/leverage", **BTC, leverage="21")),
    Check(D, "change_margin_type", "POST /fapi/v1/marginType",
          signed("POST", "/fapi/v1/marginType", symbol="ETHUSDT", marginType="ISOLATED")),
    Check(D, "modify_isolated_position_margin", "POST /fapi/v1/positionMargin", isolated),
    Check(D, "notional_and_leverage_brackets", "GET /fapi/v1/leverageBracket", brackets,
          missing={"notionalCoef": "only for accounts with a coefficient of their own"}),
    Check(D, "user_commission_rate", "GET /fapi/v1/commissionRate", signed("GET", "/fapi/v1/commissionRate", **BTC)),
    Check(D, "get_income_history", "GET /fapi/v1/income", signed("GET", "/fapi/v1/income")),
    Check(D, "query_user_rate_limit", "GET /fapi/v1/rateLimit/order", signed("GET", "/fapi/v1/rateLimit/order")),
    Check(D, "get_bnb_burn_status", "GET /fapi/v1/feeBurn", signed("GET", "/fapi/v1/feeBurn")),
    Check(D, "position_adl_quantile_estimation", "GET /fapi/v1/adlQuantile", signed("GET", "/fapi/v1/adlQuantile"),
          extra={"BOTH": "the sample's object is empty"}),
    Check(D, "start_user_data_stream", "POST /fapi/v1/listenKey", listen("POST")),
    Check(D, "keepalive_user_data_stream", "PUT /fapi/v1/listenKey", listen("PUT")),
]  # fmt: skip

_OLD_ORDER = {"priceMatch": OLD, "selfTradePreventionMode": OLD, "goodTillDate": OLD}
NAUTILUS_REST = [
    Check(N, "order_response", "GET /fapi/v1/order", signed("GET", "/fapi/v1/order", **BTC, origClientOrderId="rests")),
    Check(N, "http_futures_account_orders", "GET /fapi/v1/openOrders", signed("GET", "/fapi/v1/openOrders"),
          missing=PRICE_RATE, extra=_OLD_ORDER),
    Check(N, "http_futures_account_position_side_dual", "GET /fapi/v1/positionSide/dual",
          signed("GET", "/fapi/v1/positionSide/dual")),
    Check(N, "account_info_v2", "GET /fapi/v2/account", signed("GET", "/fapi/v2/account"),
          extra={"feeBurn": OLD, "breakEvenPrice": OLD}),
    Check(N, "balance", "GET /fapi/v3/balance", signed("GET", "/fapi/v3/balance")),
    Check(N, "http_futures_account_positions_one_way", "GET /fapi/v2/positionRisk", signed("GET", "/fapi/v2/positionRisk", **BTC),
          extra={"breakEvenPrice": OLD, "notional": OLD, "isolatedWallet": OLD}),
    Check(N, "http_futures_account_symbol_config", "GET /fapi/v1/symbolConfig", signed("GET", "/fapi/v1/symbolConfig")),
    Check(N, "http_futures_wallet_commission_rate_btcusdt", "GET /fapi/v1/commissionRate",
          signed("GET", "/fapi/v1/commissionRate", **BTC), extra={"rpiCommissionRate": OLD}),
    Check(N, "http_futures_wallet_commission_rate_ethusdt", "GET /fapi/v1/commissionRate",
          signed("GET", "/fapi/v1/commissionRate", symbol="ETHUSDT"), extra={"rpiCommissionRate": OLD}),
    Check(N, "http_futures_market_agg_trades", "GET /fapi/v1/aggTrades", public("/fapi/v1/aggTrades", "symbol=BTCUSDT"),
          extra={"nq": OLD}),
    Check(N, "http_futures_market_book_ticker", "GET /fapi/v1/ticker/bookTicker",
          public("/fapi/v1/ticker/bookTicker", "symbol=BTCUSDT"), extra={"lastUpdateId": OLD}),
    Check(N, "http_futures_market_funding_rate", "GET /fapi/v1/fundingRate", public("/fapi/v1/fundingRate", "symbol=BTCUSDT"),
          extra={"markPrice": OLD, "rateType": OLD}),
    Check(N, "http_futures_market_index_price_klines", "GET /fapi/v1/indexPriceKlines",
          public("/fapi/v1/indexPriceKlines", "pair=BTCUSDT&interval=1m&limit=3")),
    Check(N, "http_futures_market_klines", "GET /fapi/v1/klines", public("/fapi/v1/klines", KLINES)),
    Check(N, "http_futures_market_mark_price_klines", "GET /fapi/v1/markPriceKlines", public("/fapi/v1/markPriceKlines", KLINES)),
    Check(N, "http_futures_market_premium_index", "GET /fapi/v1/premiumIndex", public("/fapi/v1/premiumIndex", "symbol=BTCUSDT")),
    Check(N, "http_futures_market_ticker_24hr", "GET /fapi/v1/ticker/24hr", public("/fapi/v1/ticker/24hr", "symbol=BTCUSDT")),
    Check(N, "http_futures_market_ticker_price", "GET /fapi/v2/ticker/price", public("/fapi/v2/ticker/price", "symbol=BTCUSDT")),
    Check(N, "http_futures_market_trades", "GET /fapi/v1/trades", public("/fapi/v1/trades", "symbol=BTCUSDT"),
          extra={"isRPITrade": OLD}),
    Check(N, "http_futures_market_exchange_info", "GET /fapi/v1/exchangeInfo", public("/fapi/v1/exchangeInfo"),
          missing={"settlePlan": "no longer sent"}, extra={"permissionSets": OLD, "maxMoveOrderLimit": OLD}),
]  # fmt: skip

_LATER = {"pm": OLD, "gtd": OLD, "er": OLD}
_FILL = {"n": "with a fill only", "N": "with a fill only"}
NAUTILUS_WS = [
    Check(W, "account_update", "ACCOUNT_UPDATE", event("ACCOUNT_UPDATE")),
    Check(W, "order_update_new", "ORDER_TRADE_UPDATE, new", event("ORDER_TRADE_UPDATE", "NEW"),
          missing={"AP": TRAILING, "cr": TRAILING, **_FILL}, extra=_LATER),
    Check(W, "order_update_trade", "ORDER_TRADE_UPDATE, fill", event("ORDER_TRADE_UPDATE", "FILLED"),
          missing={"AP": TRAILING, "cr": TRAILING}, extra=_LATER),
    Check(W, "ws_futures_order_update_liquidation", "ORDER_TRADE_UPDATE, liquidation",
          event("ORDER_TRADE_UPDATE", "FILLED", x="CALCULATED"), pick=("data",),
          missing={"AP": MADE, "cr": MADE, "W": MADE}, extra={"pm": OLD, "er": OLD},
          kinds={"o.sp": "null in a written-back sample", "o.V": "null in a written-back sample"}),
    Check(W, "ws_futures_order_update_new_price_match", "ORDER_TRADE_UPDATE, new", event("ORDER_TRADE_UPDATE", "NEW"),
          pick=("data",), missing={"AP": MADE, "cr": MADE, "W": MADE, **_FILL}, extra={"pm": OLD, "er": OLD},
          kinds={"o.V": "null in a written-back sample"}),
    Check(W, "trade_lite", "TRADE_LITE", event("TRADE_LITE")),
    Check(W, "ws_futures_trade_lite", "TRADE_LITE", event("TRADE_LITE")),
    Check(W, "algo_update_new", "ALGO_UPDATE, new", event("ALGO_UPDATE", "NEW", caid="bnb"),
          missing={"rm": NOTE, "ap": "absent before the trigger, as in the live samples", "aq": "same", "act": "same"}),
    Check(W, "ws_futures_algo_update_triggering", "ALGO_UPDATE, triggering", event("ALGO_UPDATE", "TRIGGERING"), pick=("data",)),
    Check(W, "ws_futures_algo_update_triggered", "ALGO_UPDATE, triggered", event("ALGO_UPDATE", "TRIGGERED"), pick=("data",)),
    Check(W, "agg_trade_stream", "`<s>@aggTrade`", stream("btcusdt@aggTrade")),
    Check(W, "trade_stream", "`<s>@trade`", stream("btcusdt@trade"), extra={"st": OLD, "X": "in the raw frames of 2024"}),
    Check(W, "book_ticker_stream", "`<s>@bookTicker`", stream("btcusdt@bookTicker")),
    Check(W, "ws_futures_book_ticker", "`<s>@bookTicker`", stream("btcusdt@bookTicker")),
    Check(W, "mark_price_stream", "`<s>@markPrice`", stream("btcusdt@markPrice@1s"), extra={"ap": "since March 2026"}),
    Check(W, "kline_stream_open", "`<s>@kline_<i>`", stream("btcusdt@kline_1m"), extra={"st": OLD, "ps": OLD}),
    Check(W, "kline_stream_closed", "`<s>@kline_<i>`", stream("btcusdt@kline_1m"), extra={"st": OLD, "ps": OLD}),
    Check(W, "ticker_stream", "`<s>@ticker`", stream("btcusdt@ticker")),
    Check(W, "ws_futures_ticker_24hr", "`<s>@ticker`", stream("btcusdt@ticker")),
]  # fmt: skip

_STOP = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}


def flat_close(world: World) -> Any:
    return world.refused(
        "/fapi/v1/algoOrder", **{**_STOP, "symbol": "ETHUSDT"}, triggerPrice="2000", closePosition="true"
    )


def second_close(world: World) -> Any:
    world.refused("/fapi/v1/algoOrder", **_STOP, triggerPrice="55000", closePosition="true")
    return world.refused("/fapi/v1/algoOrder", **_STOP, triggerPrice="54000", closePosition="true")


def no_key(world: World) -> Any:
    world.desk.key = ""
    reply = world.desk.raw("GET", "/fapi/v1/historicalTrades", "symbol=BTCUSDT&limit=1")
    return {"http": reply.status, "body": json.loads(reply.body)}


def asked(path: str, query: str) -> Any:
    def ask(world: World) -> Any:
        reply = world.desk.raw("GET", path, query)
        return {"http": reply.status, "body": json.loads(reply.body)}

    return ask


_THIRD = "errors.third_party_bodies"
_LIVE = "errors.live_bodies"
_REQUEST = {"request": "the sample's own note"}
_CONTEXT = {"context": "the sample's own note", "note": "the sample's own note"}


def _error(name: str, number: int, what: str, ask: Any) -> Check:
    return Check(C, name, what, ask, pick=(number,), missing=_REQUEST if name == _LIVE else _CONTEXT)


CAPTURED = [
    Check(C, "exchangeInfo.rateLimits", "exchangeInfo.rateLimits, prod",
          lambda _: World("prod").body("GET", "/fapi/v1/exchangeInfo")["rateLimits"]),
    Check(C, "exchangeInfo.symbol.BTCUSDT", "exchangeInfo, BTCUSDT, prod",
          lambda _: next(s for s in World("prod").body("GET", "/fapi/v1/exchangeInfo")["symbols"] if s["symbol"] == "BTCUSDT")),
    Check(C, "premiumIndex.BTCUSDT", "GET /fapi/v1/premiumIndex", public("/fapi/v1/premiumIndex", "symbol=BTCUSDT")),
    Check(C, "klines.BTCUSDT.1m", "GET /fapi/v1/klines", _kline_row),
    Check(C, "ticker.bookTicker.BTCUSDT", "GET /fapi/v1/ticker/bookTicker", public("/fapi/v1/ticker/bookTicker", "symbol=BTCUSDT")),
    Check(C, "ticker.price.v2.BTCUSDT", "GET /fapi/v2/ticker/price", public("/fapi/v2/ticker/price", "symbol=BTCUSDT")),
    Check(C, "fundingRate.BTCUSDT", "GET /fapi/v1/fundingRate", public("/fapi/v1/fundingRate", "symbol=BTCUSDT")),
    Check(C, "ws.kline", "`<s>@kline_<i>`", stream("btcusdt@kline_1m"), pick=("data",), extra={"st": "not in this frame", "ps": "not in this frame"}),
    Check(C, "ws.markPriceUpdate", "`<s>@markPrice`", stream("btcusdt@markPrice@1s")),
    _error(_LIVE, 0, "klines, 1s", asked("/fapi/v1/klines", "symbol=BTCUSDT&interval=1s&limit=1")),
    _error(_LIVE, 1, "klines, limit 2000", asked("/fapi/v1/klines", "symbol=BTCUSDT&interval=1m&limit=2000")),
    _error(_LIVE, 2, "depth, limit 3", asked("/fapi/v1/depth", "symbol=BTCUSDT&limit=3")),
    _error(_LIVE, 3, "historicalTrades without a key", no_key),
    _error(_LIVE, 4, "an unknown symbol", asked("/fapi/v1/ticker/24hr", "symbol=NOTAREALSYM")),
    _error(_THIRD, 0, "a stop on the old endpoint",
           lambda w: w.refused("/fapi/v1/order", symbol="BTCUSDT", side="SELL", type="STOP_MARKET", quantity="1")),
    _error(_THIRD, 1, "closePosition while flat", flat_close),
    _error(_THIRD, 2, "a second closePosition", second_close),
    _error(_THIRD, 3, "stopPrice for triggerPrice", lambda w: w.refused("/fapi/v1/algoOrder", **_STOP, quantity="0.010", stopPrice="1")),
    _error(_THIRD, 4, "cancel of an unknown algo order", lambda w: w.refused("/fapi/v1/algoOrder", "DELETE", clientAlgoId="nobody")),
    _error(_THIRD, 5, "query of an algo id as an order", lambda w: w.refused("/fapi/v1/order", "GET", symbol="BTCUSDT", origClientOrderId="bnb")),
    Check(C, _THIRD, "cancel of an algo order", lambda w: {"http": 200, "body": cancelled_algo(w)}, pick=(6,), missing=_CONTEXT),
    _error(_THIRD, 8, "-1008", lambda w: w.faulty(503, -1008, SYSTEM_PROTECTION)),
    _error(_THIRD, 9, "503, perhaps executed", lambda w: w.faulty(503, -1000, "Unknown error, please check your request or try again later.")),
    _error(_THIRD, 10, "408, perhaps executed", lambda w: w.faulty(408, -1007, TIMEOUT)),
]  # fmt: skip
SYSTEM_PROTECTION = "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."
TIMEOUT = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."

CHECKS = [*OFFICIAL, *NAUTILUS_REST, *NAUTILUS_WS, *CAPTURED]
