"""Kept connections: when one is used again, when it must not be, and what becomes of a request it was lost under."""

from __future__ import annotations

import contextlib
import gzip
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from exchange.binance import connections
from exchange.binance.client import BinanceExchange
from exchange.binance.connections import KeptConnections, Origin
from exchange.errors import ExchangeUnavailable, OutcomeUnknown
from exchange.rate_limits import OpenGate
from exchange.refusals import Refusal
from exchange.types import Endpoints
from tests.unit.exchange.conftest import KEY, SECRET
from tests.unit.exchange.peer import Peer, Reply, answer, hang_up, reset
from tests.unit.exchange.samples import NOW, STAMP, a_limit, placed

PATIENCE = 5.0  # s, for what happens within a moment


@pytest.fixture
def kept() -> Iterator[KeptConnections]:
    connections = KeptConnections()
    yield connections
    connections.close()


@pytest.fixture
def exchange(peer: Peer, kept: KeptConnections) -> BinanceExchange:
    return client_of(peer.url, kept)


def client_of(url: str, kept: KeptConnections) -> BinanceExchange:
    exchange = BinanceExchange(Endpoints(url, ""), api_key=KEY, api_secret=SECRET)
    exchange._wire._transport = kept
    return exchange


def submit(exchange: BinanceExchange, *, timeout_ms: int = 2000) -> object:
    return exchange.send(exchange.submit_request(a_limit()), stamp=STAMP, timeout_ms=timeout_ms)


def resting(kept: KeptConnections) -> list[socket.socket]:
    return [sock for entries in kept._kept.values() for sock, _ in entries]


def then_closes(reply: Reply) -> Reply:
    """Answer as if the connection were kept, and close it."""

    def both(connection: socket.socket) -> None:
        reply(connection)
        connection.shutdown(socket.SHUT_RDWR)

    return both


def wait_until_readable(sock: socket.socket) -> None:
    assert select.select([sock], [], [], PATIENCE)[0], "the server's end never came"


class Barred(OpenGate):
    """A gate whose address is barred by somebody else while a request waits for its connection."""

    def __init__(self) -> None:
        self.barred = True

    def confirm(self, passed: float) -> None:
        if self.barred:
            raise ExchangeUnavailable("barred", refusal=Refusal.BANNED, wait_ms=1000)


def test_what_is_barred_while_its_connection_opens_does_not_leave(
    exchange: BinanceExchange, peer: Peer, kept: KeptConnections
) -> None:
    peer.always(lambda _: answer(placed()))
    gate = exchange._wire.gate = Barred()
    with pytest.raises(ExchangeUnavailable) as held:
        submit(exchange)
    assert (held.value.refusal, held.value.wait_ms) == (Refusal.BANNED, 1000)
    assert peer.requests == []

    # And its connection is used by the next one
    assert len(resting(kept)) == 1
    gate.barred = False
    submit(exchange)
    assert (len(peer.requests), peer.taken) == (1, 1)


# --- used again, or not -----------------------------------------------------------------------


def test_one_connection_serves_one_request_after_another(exchange: BinanceExchange, peer: Peer) -> None:
    peer.always(lambda _: answer(placed()))
    for _ in range(5):
        submit(exchange)
    assert (len(peer.requests), peer.taken) == (5, 1)


def test_an_order_goes_out_anew_where_the_server_has_closed_meanwhile(
    exchange: BinanceExchange, peer: Peer, kept: KeptConnections
) -> None:
    # Given a connection that rests, and that its server has closed without a word before
    peer.then(then_closes(answer(placed())), answer(placed()))
    submit(exchange)
    wait_until_readable(resting(kept)[0])
    # When the next order is sent, then nothing of it was lost with the old one
    submit(exchange)
    assert (len(peer.requests), peer.taken) == (2, 2)


@pytest.mark.parametrize("reply", [hang_up(), reset()], ids=["hang up", "reset"])
def test_what_a_kept_connection_breaks_under_is_not_sent_again(
    exchange: BinanceExchange, peer: Peer, reply: Reply
) -> None:
    # The server closes as the request arrives: it may have read it, or not.
    peer.then(answer(placed()), reply)
    submit(exchange)
    with pytest.raises(OutcomeUnknown):
        submit(exchange)
    peer.then(answer([]), reply)
    exchange.positions(at=NOW)
    with pytest.raises(ExchangeUnavailable, match="did not answer"):
        exchange.positions(at=NOW)
    assert len(peer.requests) == 4


def test_what_comes_behind_an_answer_is_not_taken_for_the_next(
    exchange: BinanceExchange, peer: Peer, kept: KeptConnections
) -> None:
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"serverTime": 179000000}'[:-1]
    # At once with the answer …
    peer.then(lambda connection: connection.sendall(whole + second))
    with contextlib.suppress(ExchangeUnavailable):
        exchange.server_time()
    assert resting(kept) == []
    # … or later, while the connection rests
    go_on = threading.Event()

    def late(connection: socket.socket) -> None:
        answer({"serverTime": 1})(connection)
        go_on.wait(PATIENCE)
        connection.sendall(second)

    peer.then(late)
    assert exchange.server_time() == 1
    go_on.set()
    wait_until_readable(resting(kept)[0])
    peer.then(answer({"serverTime": 2}))
    assert exchange.server_time() == 2


def test_a_connection_that_rested_too_long_is_closed(
    exchange: BinanceExchange, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.always(lambda _: answer(placed()))
    submit(exchange)
    monkeypatch.setattr(connections, "IDLE_SECONDS", -1.0)
    submit(exchange)
    assert peer.taken == 2


def test_no_more_rest_than_may(peer: Peer, kept: KeptConnections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_MAX", 2)
    together = threading.Barrier(4)

    def route(_: object) -> Reply:
        together.wait(PATIENCE)
        return answer({"serverTime": 1})

    peer.always(route)
    exchange = client_of(peer.url, kept)
    threads = [threading.Thread(target=exchange.server_time) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peer.taken == 4
    assert len(resting(kept)) == 2


@pytest.mark.parametrize(
    "headers", [{"Connection": "close"}, {"Transfer-Encoding": "identity"}], ids=["close", "odd framing"]
)
def test_a_connection_is_not_kept_where_its_end_is_announced_or_unclear(
    exchange: BinanceExchange, peer: Peer, kept: KeptConnections, headers: dict[str, str]
) -> None:
    peer.then(answer(placed(), headers=headers))
    with contextlib.suppress(OutcomeUnknown):
        submit(exchange)
    assert resting(kept) == []


def test_accounts_share_the_connections_to_one_address(peer: Peer, kept: KeptConnections) -> None:
    peer.always(lambda _: answer(placed()))
    for _ in range(3):
        submit(client_of(peer.url, kept))
    assert peer.taken == 1


def test_a_forked_child_begins_with_none(
    exchange: BinanceExchange, peer: Peer, kept: KeptConnections
) -> None:
    peer.always(lambda _: answer(placed()))
    submit(exchange)
    child = os.fork()
    if not child:  # nothing but the request, and away: this process is a copy of the test's
        try:
            submit(exchange)
        except BaseException:
            os._exit(1)
        os._exit(0)
    try:
        assert os.waitpid(child, 0)[1] == 0
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    submit(exchange)
    assert peer.taken == 2  # the parent's is still whole, and still its own


def test_another_exception_in_the_middle_leaves_no_connection_to_be_used_again(
    exchange: BinanceExchange, peer: Peer, kept: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    class JobTimeout(Exception):
        pass

    def strike(*_: object) -> None:
        raise JobTimeout

    peer.always(lambda _: answer(placed()))
    submit(exchange)
    monkeypatch.setattr(connections, "read_answer", strike)
    with pytest.raises(JobTimeout):
        submit(exchange)
    assert resting(kept) == []


# --- connecting -------------------------------------------------------------------------------


def test_a_dead_address_leaves_time_for_the_next(
    peer: Peer, kept: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a name with two addresses, of which the first does not even refuse: its queue is full
    with contextlib.closing(socket.socket()) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(deaf.getsockname())
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (deaf.getsockname(), ("127.0.0.1", peer.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        peer.then(answer(placed()))
        # Then the order reaches the second in time
        assert submit(client_of(peer.url, kept), timeout_ms=1000)
        # And when none answers, the deadline holds, and nothing was sent
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found[:1] * 4)
        began = time.monotonic()
        with pytest.raises(ExchangeUnavailable, match="nothing was sent"):
            submit(client_of(peer.url.replace("127.0.0.1", "elsewhere.invalid"), kept), timeout_ms=400)
        assert time.monotonic() - began < 2
        for sock in waiting:
            sock.close()


def test_what_is_no_target_is_not_sent(peer: Peer, kept: KeptConnections) -> None:
    exchange = BinanceExchange(Endpoints(f"{peer.url}/a b\r\nX: y", ""), api_key=KEY, api_secret=SECRET)
    with pytest.raises(ExchangeUnavailable, match="nothing was sent"):
        submit(exchange)
    assert peer.requests == []


def test_origins_are_told_apart() -> None:
    places = {
        url: connections._place(url)
        for url in (
            "https://a.example/x",
            "http://a.example/x",
            "https://a.example:8443/x",
            "http://[::1]:81/",
        )
    }
    assert places == {
        "https://a.example/x": (Origin("a.example", 443, True), "a.example", "/x"),
        "http://a.example/x": (Origin("a.example", 80, False), "a.example", "/x"),
        "https://a.example:8443/x": (Origin("a.example", 8443, True), "a.example:8443", "/x"),
        "http://[::1]:81/": (Origin("::1", 81, False), "[::1]:81", "/"),
    }


def test_a_compressed_answer_is_read(exchange: BinanceExchange, peer: Peer) -> None:
    body = gzip.compress(b'{"serverTime": 12345}')
    peer.then(answer(body, headers={"Content-Encoding": "gzip"}))
    assert exchange.server_time() == 12345
    assert peer.requests[0].headers["accept-encoding"] == "gzip"
