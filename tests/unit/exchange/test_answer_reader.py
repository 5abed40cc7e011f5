"""Reading an answer, byte for byte: what is one, what is none, and where it ends."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from exchange.binance import answer_reader
from exchange.binance.answer import Answer
from exchange.binance.answer_reader import Garbled, read_answer

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def read(pair: Pair, data: bytes, *, seconds: float = 2.0, closed: bool = True) -> tuple[Answer, bool]:
    ours, theirs = pair

    def say() -> None:
        theirs.sendall(data)
        if closed:
            theirs.shutdown(socket.SHUT_WR)

    saying = threading.Thread(target=say, daemon=True)
    saying.start()
    try:
        return read_answer(ours, time.monotonic() + seconds)
    finally:
        ours.close()  # who still speaks is cut off
        saying.join(5)


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Mbx-Used-Weight-1M: 7\r\n\r\n{}"
ANSWERS: dict[str, tuple[bytes, str, bool]] = {
    "with a length": (PLAIN, "{}", True),
    "without a word after its status": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", "{}", True),
    "to be closed": (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}", "{}", False),
    "of an old protocol": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", False),
    "up to the end": (b"HTTP/1.1 200 OK\r\n\r\n{}", "{}", False),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", "", True),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\n001\r\n}\r\n0\r\nX: y\r\n\r\n", "{}", True,
    ),
    "in chunks and with a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}", False,
    ),
    "after a word in between": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + PLAIN, "{}", True),
    "with more behind it": (PLAIN + b"H", "{}", False),
    "compressed": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b"{}", mtime=0))
        + gzip.compress(b"{}", mtime=0), "{}", True,
    ),
    "not in UTF-8": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff", "\ufffd", True),
}  # fmt: skip


@pytest.mark.parametrize(("data", "text", "reusable"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_read_to_its_end(pair: Pair, data: bytes, text: str, reusable: bool) -> None:
    answer, kept = read(pair, data)

    assert (answer.text, kept) == (text, reusable)


def test_status_and_headers(pair: Pair) -> None:
    answer, _ = read(
        pair, b"HTTP/1.1 429 No\r\nRetry-After:  17 \r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n"
    )

    assert (answer.status, answer.retry_after, answer.headers["a"]) == (429, 17, "1, 2")


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "noise": b"\x00\xff" * 40_000,
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "half a status line": b"HTTP/1.1 20",
    "no number": b"HTTP/1.1 OK 200\r\n\r\n",
    "a status beyond": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    "a header that is none": b"HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\n{}",
    "a folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 2\r\n\r\n{}",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
    "less than it says": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a length in other digits": "HTTP/1.1 200 OK\r\nContent-Length: ²\r\n\r\n{}".encode("latin-1"),
    "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
    "an absurd length": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk's size below zero": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n{}",
    "a chunk that goes on": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "half a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
    "a trailer without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"X: y\r\n" * 20_000,
    "not compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "half of what was compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n"
    + gzip.compress(b"{}")[:12],
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_odd_is_no_answer(pair: Pair, data: bytes) -> None:
    with pytest.raises(Garbled):
        read(pair, data)


@pytest.mark.parametrize("data", [PLAIN, ANSWERS["in chunks"][0], ANSWERS["compressed"][0]])
def test_an_answer_cut_anywhere_is_none(data: bytes) -> None:
    for length in range(len(data)):
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(Garbled):
            read((ours, theirs), data[:length])


@pytest.mark.parametrize("data", [PLAIN, ANSWERS["in chunks"][0]])
def test_where_it_is_split_makes_no_difference(data: bytes) -> None:
    for length in range(1, len(data)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(data[:length])
            assert read((ours, theirs), data[length:], closed=False)[0].text == "{}"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n3e8\r\n",
    ],
    ids=["up to the end", "with a length", "in chunks"],
)
def test_a_body_beyond_bounds_is_no_answer(pair: Pair, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(answer_reader, "BODY_MAX", 1500)
    with pytest.raises(Garbled, match="too large"):
        read(pair, head + b"x" * 4000)


def test_what_unpacks_beyond_bounds_is_no_answer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_reader, "BODY_MAX", 1500)
    packed = gzip.compress(b" " * 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with pytest.raises(Garbled, match="too large"):
        read(pair, head + packed)


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200 OK\r\n", PLAIN[:-1], ANSWERS["in chunks"][0][:-1]],
    ids=["all", "head", "body", "chunks"],
)
def test_silence_ends_at_the_deadline(pair: Pair, data: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        read(pair, data, seconds=0.1, closed=False)
    assert 0.1 <= time.monotonic() - began < 2


def test_no_byte_puts_the_deadline_off(pair: Pair) -> None:
    ours, theirs = pair
    over = threading.Event()

    def drip() -> None:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.01):
            theirs.sendall(b"a")

    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        read_answer(ours, began + 0.2)
    over.set()
    dripping.join(5)
    assert 0.2 <= time.monotonic() - began < 2
