"""What the client asks and how it puts answers together, against a scripted peer."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import port
from exchange.binance.client import BinanceExchange
from exchange.binance.public import BinancePublic
from exchange.errors import ExchangeUnavailable, OrderRejected
from exchange.types import Endpoints, MarginType, OrderState
from tests.unit.exchange.conftest import KEY, SECRET
from tests.unit.exchange.peer import Peer, Reply, Request, answer
from tests.unit.exchange.samples import ENTRY, NOW, STAMP, STOP, D, placed, placed_algo, sample

GONE = answer({"code": -2013, "msg": "Order does not exist."}, status=400)
WEEK = 7 * 24 * 3600 * 1000


def test_the_client_is_what_the_port_asks_for(exchange: BinanceExchange, peer: Peer) -> None:
    whole: port.Exchange = exchange
    public: port.PublicExchange = BinancePublic(Endpoints(peer.url, ""))
    assert whole is exchange
    assert repr(public).startswith("<BinancePublic at http")


# --- public ---------------------------------------------------------------------------------


def test_public_questions_carry_no_key_and_no_signature(peer: Peer) -> None:
    public = BinancePublic(Endpoints(peer.url, ""))
    peer.then(answer({"serverTime": 1499827319559}), answer(sample("rest/premium_index")))
    assert public.server_time() == 1499827319559
    assert public.mark_prices("BTCUSDT")[0].mark == D("76916.95122464")
    assert [request.target for request in peer.requests] == [
        "/fapi/v1/time",
        "/fapi/v1/premiumIndex?symbol=BTCUSDT",
    ]
    assert all(not request.headers.get("x-mbx-apikey") for request in peer.requests)


def test_exchange_info_comes_as_it_is(peer: Peer) -> None:
    peer.then(answer(b'{"symbols": [{"symbol": "BTCUSDT", "liquidationFee": "0.012500", "odd": 0.10}]}'))
    info = BinancePublic(Endpoints(peer.url, "")).exchange_info()
    assert info == {"symbols": [{"symbol": "BTCUSDT", "liquidationFee": "0.012500", "odd": "0.10"}]}


# --- looking one order up -------------------------------------------------------------------


def test_an_order_is_looked_up_by_our_id(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed(status="FILLED", executedQty="0.010", avgPrice="62999.9")))
    view = exchange.find_order(ENTRY, at=NOW)
    assert view is not None
    assert (view.state, view.average_price) == (OrderState.FILLED, D("62999.9"))
    sent = peer.requests[0].params
    assert (sent["symbol"], sent["origClientOrderId"]) == ("BTCUSDT", "ab12-1-e1")
    assert (sent["timestamp"], sent["recvWindow"]) == (str(NOW), "5000")


@pytest.mark.parametrize("ref", [ENTRY, STOP])
def test_an_order_that_does_not_show_is_none(exchange: BinanceExchange, peer: Peer, ref: Any) -> None:
    peer.then(GONE)
    assert exchange.find_order(ref, at=NOW) is None


def test_a_look_up_that_fails_is_not_an_absence(exchange: BinanceExchange, peer: Peer) -> None:
    for reply in (
        answer(b"", status=500),
        answer({"code": -1000, "msg": "x"}, status=400),
        answer(b"", status=404),
    ):
        peer.then(reply)
        with pytest.raises((ExchangeUnavailable, OrderRejected)):
            exchange.find_order(ENTRY, at=NOW)


def test_an_untriggered_stop_is_one_question(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed_algo(actualOrderId="", actualQty="0.010", actualPrice="0.0")))
    view = exchange.find_order(STOP, at=NOW)
    assert view is not None
    assert (view.state, view.executed) == (OrderState.NEW, D(0))
    assert [request.path for request in peer.requests] == ["/fapi/v1/algoOrder"]
    assert "symbol" not in peer.requests[0].params


def test_a_triggered_stop_is_followed_to_its_child(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(
        answer(placed_algo(algoStatus="FINISHED", actualOrderId="88937381063")),
        answer(placed(orderId=88937381063, status="FILLED", executedQty="0.010", avgPrice="61990.5")),
    )
    view = exchange.find_order(STOP, at=NOW)
    assert view is not None
    assert (view.state, view.executed, view.average_price) == (OrderState.FINISHED, D("0.010"), D("61990.5"))
    assert (view.client_id, view.order_id, view.algo_id) == ("ab12-1-s1", 88937381063, 2146760)
    followed = peer.requests[1]
    assert (followed.path, followed.params["orderId"], followed.params["symbol"]) == (
        "/fapi/v1/order",
        "88937381063",
        "BTCUSDT",
    )


def test_a_child_that_does_not_show_yet_leaves_the_stop_triggered(
    exchange: BinanceExchange, peer: Peer
) -> None:
    peer.then(answer(placed_algo(algoStatus="FINISHED", actualOrderId="5", actualPrice="0")), GONE)
    view = exchange.find_order(STOP, at=NOW)
    assert view is not None
    assert (view.state, view.executed) == (OrderState.TRIGGERED, D(0))


# --- lists ----------------------------------------------------------------------------------


def test_open_orders_are_both_lists_joined(exchange: BinanceExchange, peer: Peer) -> None:
    def route(request: Request) -> Reply:
        if request.path == "/fapi/v1/openOrders":
            return answer([placed(orderId=77, status="PARTIALLY_FILLED", executedQty="0.002", avgPrice="9")])
        return answer(
            [placed_algo(algoStatus="TRIGGERED", actualOrderId="77"), placed_algo(clientAlgoId="b")]
        )

    peer.always(route)
    orders = exchange.open_orders("BTCUSDT", at=NOW)
    assert [(order.conditional, order.executed) for order in orders] == [
        (False, D("0.002")),
        (True, D("0.002")),
        (True, D(0)),
    ]
    assert all(request.params["symbol"] == "BTCUSDT" for request in peer.requests)
    exchange.open_orders(at=NOW)
    assert "symbol" not in peer.requests[-1].params


def test_history_is_read_week_by_week_and_page_by_page(exchange: BinanceExchange, peer: Peer) -> None:
    # Given 1500 orders, three of each millisecond, and one conditional order in the second week
    since, at = NOW - 10 * 24 * 3600 * 1000, NOW
    born = [since + number // 3 for number in range(1500)]

    def route(request: Request) -> Reply:
        start, end = int(request.params["startTime"]), int(request.params["endTime"])
        assert end - start < WEEK
        if request.path == "/fapi/v1/allAlgoOrders":
            return answer([placed_algo(createTime=at - 5)] if start <= at - 5 <= end else [])
        rows = [
            placed(orderId=number + 1, time=time, updateTime=time)
            for number, time in enumerate(born)
            if start <= time <= end
        ]
        return answer(rows[: int(request.params["limit"])])

    peer.always(route)
    orders = exchange.order_history("BTCUSDT", since=since, at=at)
    assert {order.order_id for order in orders if not order.conditional} == set(range(1, 1501))
    assert [order.client_id for order in orders if order.conditional] == ["ab12-1-s1"]


def a_trade(number: int, time: int, order_id: int = 5) -> dict[str, Any]:
    return {**sample("rest/account_trade_list")[0], "id": number, "orderId": order_id, "time": time}


def test_a_thousand_fills_in_one_millisecond_are_all_read(exchange: BinanceExchange, peer: Peer) -> None:
    fills = [a_trade(number, NOW - 1000) for number in range(1, 2201)]

    def route(request: Request) -> Reply:
        asked = request.params
        if "fromId" in asked:
            assert "startTime" not in asked
            rows = [fill for fill in fills if fill["id"] >= int(asked["fromId"])]
        else:
            rows = [
                fill for fill in fills if int(asked["startTime"]) <= fill["time"] <= int(asked["endTime"])
            ]
        return answer(rows[: int(asked["limit"])])

    peer.always(route)
    trades = exchange.trades("BTCUSDT", since=NOW - 2000, at=NOW)
    assert [trade.trade_id for trade in trades] == list(range(1, 2201))


def test_the_fills_of_one_order(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer([a_trade(1, NOW - 10), a_trade(2, NOW - 5)]))
    trades = exchange.trades("BTCUSDT", since=NOW - 7, at=NOW, order_id=5)
    assert [trade.trade_id for trade in trades] == [2]
    assert peer.requests[0].params["orderId"] == "5"
    assert "startTime" not in peer.requests[0].params


# --- account and settings -------------------------------------------------------------------


def test_account_reads_go_to_their_places(exchange: BinanceExchange, peer: Peer) -> None:
    samples = {
        "/fapi/v3/positionRisk": "rest/position_information_v3",
        "/fapi/v3/balance": "rest/futures_account_balance_v3",
        "/fapi/v1/accountConfig": "rest/futures_account_configuration",
        "/fapi/v1/symbolConfig": "rest/symbol_configuration",
        "/fapi/v1/leverageBracket": "rest/leverage_bracket_btcusdt",
    }
    peer.always(lambda request: answer(sample(samples[request.path])))
    assert exchange.positions(at=NOW)[0].quantity == 30
    assert exchange.balances(at=NOW)[0].asset == "USDT"
    assert exchange.account_config(at=NOW).can_trade
    assert exchange.symbol_configs("BTCUSDT", at=NOW)[0].leverage == 21
    assert exchange.leverage_brackets(at=NOW)["BTCUSDT"][0].cap == 300000
    assert [request.path for request in peer.requests] == list(samples)


def test_settings_are_set_and_already_so_is_done(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(
        answer(sample("rest/change_initial_leverage")),
        answer({"code": -4046, "msg": "No need to change margin type."}, status=400),
        answer({"code": -4048, "msg": "Margin type cannot be changed if there exists position."}, status=400),
    )
    exchange.set_leverage("BTCUSDT", 21, stamp=STAMP)
    exchange.set_margin_type("BTCUSDT", MarginType.ISOLATED, stamp=STAMP)
    with pytest.raises(OrderRejected):
        exchange.set_margin_type("BTCUSDT", MarginType.CROSSED, stamp=STAMP)
    assert [request.params.get("leverage") or request.params["marginType"] for request in peer.requests] == [
        "21",
        "ISOLATED",
        "CROSSED",
    ]


def test_permissions_where_the_environment_has_them(exchange: BinanceExchange, peer: Peer) -> None:
    told = {"ipRestrict": False, "enableReading": True, "enableFutures": True, "enableWithdrawals": True}
    peer.then(answer(told), answer(b"", status=404))
    found = exchange.permissions(at=NOW)
    assert found is not None
    assert found.withdrawals
    assert peer.requests[0].path == "/sapi/v1/account/apiRestrictions"
    assert exchange.permissions(at=NOW) is None
    without = BinanceExchange(Endpoints(peer.url, ""), api_key=KEY, api_secret=SECRET)
    assert without.permissions(at=NOW) is None
    assert len(peer.requests) == 2


def test_the_listen_key_needs_the_key_only(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(
        answer(sample("rest/start_user_data_stream")),
        answer({}),
        answer({"code": -1125, "msg": "This listenKey does not exist."}, status=400),
    )
    assert exchange.listen_key().startswith("pqia91ma19a5s61cv6a81va65sdf19v8a65a1")
    exchange.keep_listen_key()
    with pytest.raises(OrderRejected) as caught:
        exchange.keep_listen_key()
    assert caught.value.code == -1125
    assert [(request.method, request.target) for request in peer.requests] == [
        ("POST", "/fapi/v1/listenKey"),
        ("PUT", "/fapi/v1/listenKey"),
        ("PUT", "/fapi/v1/listenKey"),
    ]
    assert {request.headers["x-mbx-apikey"] for request in peer.requests} == {KEY}
