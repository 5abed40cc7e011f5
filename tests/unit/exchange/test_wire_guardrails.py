"""Each guardrail of the exchange client, judged by the bytes that arrive."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
import requests
from requests.adapters import BaseAdapter

from exchange.binance.client import BinanceExchange
from exchange.binance.public import BinancePublic
from exchange.errors import (
    CredentialsRefused,
    ExchangeError,
    ExchangeUnavailable,
    OrderRejected,
    OutcomeUnknown,
)
from exchange.types import Endpoints, NewOrder, OrderState, PositionSide, Side, Stamp, WireRequest
from tests.unit.exchange.conftest import KEY, SECRET
from tests.unit.exchange.peer import (
    Peer,
    Reply,
    Request,
    answer,
    cut,
    dripping_body,
    dripping_head,
    hang_up,
    reset,
    silence,
)
from tests.unit.exchange.samples import (
    ENTRY,
    NOW,
    STAMP,
    STOP,
    a_closing_stop,
    a_hedge_stop,
    a_limit,
    a_market,
    a_stop,
    placed,
    placed_algo,
)

PATIENT = 400  # ms
GENEROUS = 3.0  # s; far under what any of the slow peers would take


def submit(exchange: BinanceExchange, order: NewOrder, *, timeout_ms: int | None = None) -> object:
    return exchange.send(exchange.submit_request(order), stamp=STAMP, timeout_ms=timeout_ms)


def signature_of(request: Request) -> str:
    payload = request.query.rpartition("&signature=")[0]
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


# --- what is sent ---------------------------------------------------------------------------


def test_the_published_signature_vector_is_met(exchange: BinanceExchange, peer: Peer) -> None:
    vector = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
        "&recvWindow=5000&timestamp=1591702613943"
    )
    params = dict(parse_qsl(vector))
    exchange._wire.ask(
        "POST", "/fapi/v1/order", params, timeout_ms=5000, reading=False, read=str, signed=True
    )
    assert peer.requests[0].query.endswith(
        "timestamp=1591702613943&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    )


def test_an_order_travels_in_the_query_with_our_timestamp_and_the_signature_last(
    exchange: BinanceExchange, peer: Peer
) -> None:
    peer.then(answer(placed()))
    submit(exchange, a_limit())
    (request,) = peer.requests
    assert (request.method, request.path, request.body) == ("POST", "/fapi/v1/order", b"")
    assert [pair.split("=")[0] for pair in request.query.split("&")][-3:] == [
        "recvWindow",
        "timestamp",
        "signature",
    ]
    assert request.params["timestamp"] == str(NOW)
    assert request.params["signature"] == signature_of(request)
    assert request.headers["x-mbx-apikey"] == KEY


def test_what_was_committed_is_what_travels(exchange: BinanceExchange, peer: Peer) -> None:
    # Given a request kept as JSON in between, as a journal does
    request = exchange.submit_request(a_stop())
    kept = json.loads(
        json.dumps({"method": request.method, "path": request.path, "params": dict(request.params)})
    )
    peer.then(answer(placed_algo()))
    # When it is sent from there
    exchange.send(WireRequest(**kept), stamp=STAMP)
    # Then nothing but the time frame and the signature was added
    sent = peer.requests[0].params
    assert {
        name: sent[name] for name in sent if name not in ("timestamp", "recvWindow", "signature")
    } == dict(request.params)


def test_numbers_travel_as_plain_text(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed()))
    submit(exchange, a_limit(quantity=Decimal("1E+5"), price=Decimal("1E-8")))
    assert peer.requests[0].params["quantity"] == "100000"
    assert peer.requests[0].params["price"] == "0.00000001"


def test_booleans_are_lower_case_words_enums_upper_case_and_nothing_is_none(
    exchange: BinanceExchange, peer: Peer
) -> None:
    peer.then(answer(placed_algo()))
    submit(exchange, a_stop())
    sent = peer.requests[0].params
    assert sent["reduceOnly"] == "true"
    assert sent["priceProtect"] == "false"
    assert (sent["side"], sent["type"], sent["workingType"]) == ("SELL", "STOP_MARKET", "MARK_PRICE")
    assert "None" not in peer.requests[0].query
    assert "price" not in sent


def test_ordinary_orders_ask_for_their_result_and_carry_our_id(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed(type="MARKET")))
    submit(exchange, a_market())
    sent = peer.requests[0].params
    assert sent["newOrderRespType"] == "RESULT"
    assert sent["newClientOrderId"] == "ab12-1-e1"
    assert "timeInForce" not in sent


def test_conditional_orders_go_to_their_own_endpoint(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed_algo()))
    submit(exchange, a_stop())
    assert peer.requests[0].path == "/fapi/v1/algoOrder"
    sent = peer.requests[0].params
    assert (sent["algoType"], sent["clientAlgoId"], sent["triggerPrice"]) == (
        "CONDITIONAL",
        "ab12-1-s1",
        "62000.0",
    )


def test_limit_always_carries_price_and_time_in_force(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed()))
    submit(exchange, a_limit())
    assert (peer.requests[0].params["price"], peer.requests[0].params["timeInForce"]) == ("63000.10", "GTC")
    for missing in ({"price": None}, {"time_in_force": None}):
        with pytest.raises(ValueError, match="needs a"):
            submit(exchange, a_limit(**missing))
    assert len(peer.requests) == 1


def test_hedge_always_sends_the_position_side_and_never_reduce_only(
    exchange: BinanceExchange, peer: Peer
) -> None:
    peer.then(answer(placed_algo(positionSide="LONG")))
    submit(exchange, a_hedge_stop())
    assert peer.requests[0].params["positionSide"] == "LONG"
    assert "reduceOnly" not in peer.requests[0].params
    with pytest.raises(ValueError, match="no reduceOnly in hedge mode"):
        submit(exchange, a_hedge_stop(reduce_only=True))
    assert len(peer.requests) == 1


def test_close_position_goes_only_with_the_two_market_triggers(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed_algo(closePosition=True, quantity="0.0")))
    submit(exchange, a_closing_stop())
    sent = peer.requests[0].params
    assert sent["closePosition"] == "true"
    assert "quantity" not in sent
    assert "reduceOnly" not in sent
    for wrong in (
        a_market(close_position=True),
        a_limit(close_position=True),
        a_closing_stop(quantity=Decimal(1)),
        a_closing_stop(reduce_only=True),
        a_closing_stop(position_side=PositionSide.SHORT),
        a_closing_stop(side=Side.BUY, position_side=PositionSide.LONG),
    ):
        with pytest.raises(ValueError, match="Order ab12-1"):
            submit(exchange, wrong)
    assert len(peer.requests) == 1


def test_a_recv_window_over_a_minute_is_refused_before_it_leaves(
    exchange: BinanceExchange, peer: Peer
) -> None:
    request = exchange.submit_request(a_limit())
    for window in (60_001, 0, -1):
        with pytest.raises(ValueError, match="recvWindow must be between 1 and 60000 ms"):
            exchange.send(request, stamp=Stamp(timestamp=NOW, recv_window=window))
    with pytest.raises(ValueError, match="recvWindow"):
        BinanceExchange(Endpoints(peer.url, ""), api_key=KEY, api_secret=SECRET, recv_window=60_001)
    assert peer.requests == []


def test_validation_goes_to_order_test_and_its_answer_is_no_order(
    exchange: BinanceExchange, peer: Peer
) -> None:
    for said in ({}, placed()):
        peer.then(answer(said))
        assert exchange.send(exchange.test_request(a_limit()), stamp=STAMP) is None
    assert {request.path for request in peer.requests} == {"/fapi/v1/order/test"}


def test_a_symbol_beyond_ascii_is_encoded_before_signing(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed(symbol="测试USDT")))
    submit(exchange, a_limit(symbol="测试USDT"))
    assert "symbol=%E6%B5%8B%E8%AF%95USDT" in peer.requests[0].query
    assert peer.requests[0].params["signature"] == signature_of(peer.requests[0])


def test_a_stamped_or_foreign_request_is_not_sent(exchange: BinanceExchange, peer: Peer) -> None:
    good = exchange.submit_request(a_limit())
    for wrong in (
        WireRequest(good.method, good.path, {**good.params, "timestamp": "1"}),
        WireRequest("DELETE", "/fapi/v1/allOpenOrders", {"symbol": "BTCUSDT"}),
        WireRequest(good.method, good.path, {**good.params, "newClientOrderId": ""}),
        WireRequest(good.method, good.path, {"symbol": "BTCUSDT"}),
    ):
        with pytest.raises(ValueError, match=r"must not|not an order request|not be empty|not valid"):
            exchange.send(wrong, stamp=STAMP)
    assert peer.requests == []


def test_no_proxy_from_the_environment_diverts_an_order(
    exchange: BinanceExchange, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    peer.then(answer(placed()))
    submit(exchange, a_limit())
    assert peer.requests[0].target.startswith("/fapi/v1/order?")


# --- sent once ------------------------------------------------------------------------------

UNKNOWN_ANSWERS: dict[str, Reply] = {
    "silence": silence(20),
    "dripping head": dripping_head(20),
    "dripping body": dripping_body(20),
    "dripping body without a length": dripping_body(20, length_known=False),
    "reset": reset(),
    "hang up": hang_up(),
    "cut body": cut(json.dumps(placed()).encode()[:100]),
    "cut refusal": cut(b'{"code":-2019,"msg":"Margin is insuff', status=400),
    "redirect 302": answer(status=302, headers={"Location": "/elsewhere"}),
    "redirect 307": answer(status=307, headers={"Location": "/elsewhere"}),
    "redirect 308": answer(status=308, headers={"Location": "/elsewhere"}),
    "408": answer({"code": -1007, "msg": "Timeout waiting for response from backend server."}, status=408),
    "500": answer(b"", status=500),
    "502 html": answer(b"<html>Bad Gateway</html>", status=502, kind="text/html"),
    "504": answer(b"", status=504),
    "503 unknown error": answer(
        {"code": -1000, "msg": "Unknown error, please check your request or try again later."}, status=503
    ),
    "503 unknown error in plain words": answer(
        b"Unknown error, please check your request or try again later.", status=503, kind="text/plain"
    ),
    "503 empty": answer(b"", status=503),
    "503 html": answer(b"<html>503 Service Unavailable</html>", status=503, kind="text/html"),
    "200 html": answer(b"<html>hello</html>", kind="text/html"),
    "200 empty": answer(b""),
    "200 cut json": answer(b'{"orderId": 1, "cli'),
    "200 a list": answer([placed()]),
    "200 null": answer(b"null"),
    "200 without an id": answer({"status": "NEW"}),
    "200 about another order": answer(placed(clientOrderId="someone-elses")),
    "200 not a number": answer(placed(executedQty="many")),
    "200 NaN": answer(json.dumps(placed()).replace('"0.010"', "NaN").encode()),
    "200 with a code": answer({"code": -1000, "msg": "odd"}),
    "201": answer(placed(), status=201),
    "204": answer(b"", status=204),
    "400 without a code": answer(b"<html>Bad Request</html>", status=400, kind="text/html"),
    "400 html under a json type": answer(b"<html>", status=400),
    "409": answer(b"", status=409),
    "400 and an R code": answer({"code": -1006, "msg": "An unexpected response was received."}, status=400),
    "a duplicate id": answer({"code": -4116, "msg": "ClientOrderId is duplicated."}, status=400),
}


@pytest.mark.parametrize("reply", UNKNOWN_ANSWERS.values(), ids=UNKNOWN_ANSWERS.keys())
def test_an_answer_that_settles_nothing_is_unknown_and_nothing_is_sent_again(
    exchange: BinanceExchange, peer: Peer, reply: Reply
) -> None:
    peer.then(reply)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown) as caught:
        submit(exchange, a_limit(), timeout_ms=PATIENT)
    assert time.monotonic() - began < GENEROUS
    assert len(peer.requests) == 1
    assert_no_secret_in(caught.value)


@pytest.mark.parametrize("reply", [reset(), hang_up(), answer(b"", status=500), answer(b"", status=503)])
def test_a_cancel_is_sent_once_too(exchange: BinanceExchange, peer: Peer, reply: Reply) -> None:
    peer.then(reply)
    for ref in (ENTRY, STOP):
        peer.requests.clear()
        peer.then(reply)
        with pytest.raises(OutcomeUnknown):
            exchange.send(exchange.cancel_request(ref), stamp=STAMP, timeout_ms=PATIENT)
        assert len(peer.requests) == 1
        assert peer.requests[0].method == "DELETE"


@pytest.mark.parametrize("code", [-1021, -5028])
def test_a_clock_refusal_is_told_with_its_code_and_not_sent_again(
    exchange: BinanceExchange, peer: Peer, code: int
) -> None:
    peer.then(
        answer({"code": code, "msg": "Timestamp for this request is outside of the recvWindow."}, status=400)
    )
    with pytest.raises(ExchangeUnavailable, match="Measure the clock offset anew") as caught:
        submit(exchange, a_limit())
    assert caught.value.code == code
    assert len(peer.requests) == 1


def test_a_redirected_order_never_reaches_another_place(exchange: BinanceExchange, peer: Peer) -> None:
    other = Peer()
    try:
        for status in (301, 302, 303, 307, 308):
            peer.then(answer(status=status, headers={"Location": f"{other.url}/fapi/v1/order"}))
            with pytest.raises(OutcomeUnknown):
                submit(exchange, a_limit())
        assert other.requests == []
        assert len(peer.requests) == 5
    finally:
        other.close()


def test_a_redirected_read_is_not_followed_either(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(status=302, headers={"Location": "/elsewhere"}))
    with pytest.raises(ExchangeUnavailable):
        exchange.positions(at=NOW)
    assert len(peer.requests) == 1


# --- definite answers -----------------------------------------------------------------------

UNEXECUTED: dict[str, Reply] = {
    "503 service unavailable": answer({"code": 0, "msg": "Service Unavailable."}, status=503),
    "503 service unavailable in plain words": answer(b"Service Unavailable.", status=503, kind="text/plain"),
    "503 throttled": answer(
        {"code": -1008, "msg": "Request throttled by system-level protection."}, status=503
    ),
    "403 firewall": answer(b"<html>blocked</html>", status=403, kind="text/html"),
    "-1003": answer({"code": -1003, "msg": "Too many requests"}, status=400),
    "-1015": answer({"code": -1015, "msg": "Too many new orders"}, status=400),
}


@pytest.mark.parametrize("reply", UNEXECUTED.values(), ids=UNEXECUTED.keys())
def test_what_surely_did_not_execute_may_be_tried_later(
    exchange: BinanceExchange, peer: Peer, reply: Reply
) -> None:
    peer.then(reply)
    with pytest.raises(ExchangeUnavailable):
        submit(exchange, a_limit())
    assert len(peer.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (429, -1015), (418, -1003)])
def test_a_rate_limit_says_how_long_to_wait(
    exchange: BinanceExchange, peer: Peer, status: int, code: int
) -> None:
    peer.then(answer({"code": code, "msg": "Too many."}, status=status, headers={"Retry-After": "17"}))
    with pytest.raises(ExchangeUnavailable) as caught:
        submit(exchange, a_limit())
    assert (caught.value.retry_after, caught.value.code, caught.value.status) == (17, code, status)


def test_a_refused_connection_and_an_unknown_host_are_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for rest in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        exchange = BinanceExchange(Endpoints(rest, ""), api_key=KEY, api_secret=SECRET)
        with pytest.raises(ExchangeUnavailable, match="nothing was sent") as caught:
            submit(exchange, a_limit(), timeout_ms=2000)
        assert_no_secret_in(caught.value)


def test_a_failed_tls_handshake_is_unavailable(peer: Peer) -> None:
    # Given a server that does not speak TLS
    exchange = BinanceExchange(
        Endpoints(peer.url.replace("http:", "https:"), ""), api_key=KEY, api_secret=SECRET
    )
    with pytest.raises(ExchangeUnavailable, match="nothing was sent"):
        submit(exchange, a_limit(), timeout_ms=PATIENT)


@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_door_is_a_refusal(exchange: BinanceExchange, peer: Peer, status: int) -> None:
    peer.then(answer(b"", status=status))
    with pytest.raises(OrderRejected):
        submit(exchange, a_limit())


def test_a_refusal_tells_code_status_and_words(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer({"code": -2019, "msg": "Margin is insufficient."}, status=400))
    with pytest.raises(OrderRejected, match=re.escape("Margin is insufficient (code -2019)")) as caught:
        submit(exchange, a_limit())
    assert (caught.value.code, caught.value.status) == (-2019, 400)
    assert caught.value.excerpt == '{"code": -2019, "msg": "Margin is insufficient."}'


@pytest.mark.parametrize("ref", [ENTRY, STOP])
def test_a_cancel_of_what_is_gone_is_refused_with_its_code(
    exchange: BinanceExchange, peer: Peer, ref: object
) -> None:
    peer.then(answer({"code": -2011, "msg": "Unknown order sent."}, status=400))
    with pytest.raises(OrderRejected) as caught:
        exchange.send(exchange.cancel_request(ref), stamp=STAMP)  # type: ignore[arg-type]
    assert caught.value.code == -2011


@pytest.mark.parametrize("code", [-2021, -2022, -4118, -4129, -4509, -4130])
def test_the_refusal_of_a_leg_reaches_the_caller_by_its_code(
    exchange: BinanceExchange, peer: Peer, code: int
) -> None:
    peer.then(answer({"code": code, "msg": "no"}, status=400))
    with pytest.raises(OrderRejected) as caught:
        submit(exchange, a_stop())
    assert caught.value.code == code


def test_wrong_keys_are_for_a_person(exchange: BinanceExchange, peer: Peer) -> None:
    for status, code in ((401, -2014), (400, -1022), (401, -2015), (401, 0)):
        peer.then(answer({"code": code, "msg": "Invalid."}, status=status))
        with pytest.raises(CredentialsRefused, match=r"API (key|secret)"):
            exchange.balances(at=NOW)


def test_a_body_is_kept_up_to_500_characters(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(b"x" * 5000, status=500))
    with pytest.raises(OutcomeUnknown) as caught:
        submit(exchange, a_limit())
    assert len(caught.value.excerpt) == 500


def test_reads_that_fail_are_unavailable_never_unknown(exchange: BinanceExchange, peer: Peer) -> None:
    for reply in (reset(), answer(b"", status=500), answer(b"<html>"), cut(b"["), silence(20)):
        peer.then(reply)
        with pytest.raises(ExchangeUnavailable):
            exchange.positions(at=NOW, timeout_ms=PATIENT)
    assert len(peer.requests) == 5


# --- time, threads, secrets -----------------------------------------------------------------


def test_one_deadline_covers_head_and_body(exchange: BinanceExchange, peer: Peer) -> None:
    for reply in (silence(20), dripping_head(20), dripping_body(20)):
        peer.then(reply)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="within 400 ms"):
            submit(exchange, a_limit(), timeout_ms=400)
        assert 0.35 < time.monotonic() - began < 1.5


def test_connections_are_kept_and_a_closed_one_is_noticed(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(*[answer(placed()) for _ in range(3)], answer(placed(), headers={"Connection": "close"}))
    for _ in range(4):
        submit(exchange, a_limit())
    peer.then(answer(placed()))
    submit(exchange, a_limit())
    assert len(peer.requests) == 5


def test_parallel_calls_do_not_mix(exchange: BinanceExchange, peer: Peer) -> None:
    # Given a peer that answers each order with the order's own id, and refuses every third
    def route(request: Request) -> Reply:
        client_id = request.params["newClientOrderId"]
        if int(client_id.split("-")[1]) % 3 == 0:
            return answer({"code": -2019, "msg": client_id}, status=400)
        return answer(placed(clientOrderId=client_id))

    peer.always(route)

    def one(number: int) -> str:
        try:
            view = submit(exchange, a_limit(client_id=f"ab12-{number}-e1"))
        except OrderRejected as refused:
            return refused.excerpt
        return view.client_id  # type: ignore[attr-defined,no-any-return]

    # When eight threads place 200 orders
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(one, range(200)))

    # Then each got its own answer, and every signature holds
    assert all(f"ab12-{number}-e1" in result for number, result in enumerate(results))
    assert all(request.params["signature"] == signature_of(request) for request in peer.requests)


def test_no_secret_shows_in_reprs(exchange: BinanceExchange) -> None:
    shown = f"{exchange!r} {exchange._wire!r} {vars(exchange)!r}"
    assert SECRET not in shown
    assert KEY not in shown


def test_keys_no_exchange_would_give_are_refused_without_showing_them() -> None:
    for key, secret in (("", SECRET), (KEY, ""), ("two words", SECRET), (KEY, "naïve\n")):
        with pytest.raises(CredentialsRefused) as caught:
            BinanceExchange(Endpoints("http://127.0.0.1:1", ""), api_key=key, api_secret=secret)
        assert "naïve" not in str(caught.value)


def test_no_signature_is_logged_even_at_debug(
    exchange: BinanceExchange, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        peer.then(answer(placed()), reset())
        submit(exchange, a_limit())
        with pytest.raises(OutcomeUnknown):
            submit(exchange, a_limit())
        logging.getLogger("exchange").debug("heard")
    # What carries a request logs nothing at all, and neither does the library.
    assert [record.message for record in caplog.records] == ["heard"]
    assert len(peer.requests) == 2


def test_a_server_that_repeats_our_key_does_not_get_it_into_an_error(
    exchange: BinanceExchange, peer: Peer
) -> None:
    peer.then(answer({"code": -2015, "msg": f"Invalid API-key {KEY}"}, status=401))
    with pytest.raises(CredentialsRefused) as caught:
        submit(exchange, a_limit())
    assert_no_secret_in(caught.value)


class NeverArriving(BaseAdapter):
    """A transport of somebody else's, as the simulator mounts one in process."""

    def __init__(self, error: requests.RequestException) -> None:
        super().__init__()
        self.error = error
        self.sends = 0

    def send(self, *args: object, **kwargs: object) -> requests.Response:
        self.sends += 1
        raise self.error

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (requests.exceptions.ConnectTimeout(), ExchangeUnavailable),
        (requests.exceptions.ReadTimeout(), OutcomeUnknown),
        (requests.exceptions.ConnectionError(), OutcomeUnknown),
        (requests.exceptions.ChunkedEncodingError(), OutcomeUnknown),
    ],
)
def test_a_mounted_transport_keeps_the_guarantees(
    error: requests.RequestException, meaning: type[ExchangeError]
) -> None:
    transport = NeverArriving(error)
    exchange = BinanceExchange(
        Endpoints("http://simulator.invalid", ""), api_key=KEY, api_secret=SECRET, transport=transport
    )
    with pytest.raises(meaning):
        submit(exchange, a_limit())
    assert transport.sends == 1


def test_other_exceptions_pass_untouched() -> None:
    # Given a job whose time limit strikes in the middle of a request
    class JobTimeout(Exception):
        pass

    class Striking(NeverArriving):
        def send(self, *args: object, **kwargs: object) -> requests.Response:
            raise JobTimeout

    exchange = BinanceExchange(
        Endpoints("http://simulator.invalid", ""),
        api_key=KEY,
        api_secret=SECRET,
        transport=Striking(requests.RequestException()),
    )
    with pytest.raises(JobTimeout):
        submit(exchange, a_limit())


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="REST address must be like"):
        BinancePublic(Endpoints("fapi.binance.com", ""))


def assert_no_secret_in(error: BaseException) -> None:
    seen: BaseException | None = error
    while seen is not None:
        text = f"{seen!r} {seen} {vars(seen)}"
        assert "signature=" not in text
        assert SECRET not in text
        assert KEY not in text
        seen = seen.__cause__ or seen.__context__


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    ends = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < ends:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_an_accepted_order_is_read_from_its_answer(exchange: BinanceExchange, peer: Peer) -> None:
    peer.then(answer(placed(status="FILLED", executedQty="0.010")))
    view = exchange.send(exchange.submit_request(a_market()), stamp=STAMP)
    assert view is not None
    assert (view.state, view.executed, view.average_price) == (OrderState.FILLED, Decimal("0.010"), None)
