"""The streams against a WebSocket server of the test's own, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from exchange.binance.streams.kline_stream import KlineStream
from exchange.binance.streams.market_stream import MarketStream
from exchange.binance.streams.reconnecting_socket import Timing
from exchange.binance.streams.user_stream import UserStream, UserStreamForm
from exchange.errors import CredentialsRefused, ExchangeUnavailable, OrderRejected
from exchange.refusals import Refusal
from exchange.types import (
    Connected,
    Disconnected,
    Endpoints,
    Kline,
    OrderEvent,
    OtherEvent,
    PriceKind,
    PriceTick,
    StreamExpired,
)
from tests.unit.exchange.samples import sample_text

QUICK = Timing(heartbeat=5, connect=2, retry_first=0.01, retry_max=0.02)
FILL = sample_text("ws/order_update_trade")
Script = Callable[[web.WebSocketResponse], Awaitable[None]]


def run(story: Awaitable[None]) -> None:
    """Run a story on a loop in a thread of its own: a browser test may have left one running in ours."""

    async def whole() -> None:
        await story

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, whole()).result()


class Venue:
    """Runs one script after another, one for each connection; the last one is kept."""

    def __init__(self, *scripts: Script, refuse: Callable[[str], bool] = lambda path: False) -> None:
        self.scripts = list(scripts)
        self.refuse = refuse
        self.asked: list[str] = []
        self.open = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.raw_path)
        if self.refuse(request.path):
            return web.Response(status=404)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self.open += 1
        try:
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            await script(socket)
        finally:
            self.open -= 1
        return socket

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[Endpoints, None]:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield Endpoints(rest="http://127.0.0.1:1", stream=f"ws://127.0.0.1:{port}")
        finally:
            await runner.cleanup()


def says(*frames: str) -> Script:
    """Send these, then stay until the client goes."""

    async def script(socket: web.WebSocketResponse) -> None:
        for frame in frames:
            await socket.send_str(frame)
        async for _ in socket:
            pass

    return script


def says_and_goes(*frames: str) -> Script:
    async def script(socket: web.WebSocketResponse) -> None:
        for frame in frames:
            await socket.send_str(frame)
        await socket.close()

    return script


async def mute(socket: web.WebSocketResponse) -> None:
    """Never read, so never answer a ping."""
    await asyncio.sleep(30)


class Keys:
    """The listen key's side of the exchange."""

    def __init__(self, *failures: Exception | None) -> None:
        self.made = 0
        self.kept = 0
        self.failures = list(failures)

    def make(self) -> str:
        self.made += 1
        return f"key{self.made}"

    def keep(self) -> None:
        self.kept += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure


def user_stream(endpoints: Endpoints, keys: Keys, **options: Any) -> UserStream:
    return UserStream(
        endpoints,
        listen_key=keys.make,
        keep_listen_key=keys.keep,
        **{"timing": QUICK, **options},
    )


async def until(stream: Any, enough: Callable[[list[Any]], bool], *, seconds: float = 8) -> list[Any]:
    """Collect what happens until it is enough; fail when that takes too long."""
    seen: list[Any] = []
    async with asyncio.timeout(seconds), contextlib.aclosing(stream.events()) as events:
        async for event in events:
            seen.append(event)
            if enough(seen):
                return seen
    raise AssertionError("a stream never ends by itself")


def count(kind: type, number: int) -> Callable[[list[Any]], bool]:
    return lambda seen: sum(isinstance(event, kind) for event in seen) >= number


def test_events_arrive_as_ours() -> None:
    async def story() -> None:
        venue, keys = Venue(says(FILL)), Keys()
        async with venue.running() as endpoints:
            seen = await until(user_stream(endpoints, keys), count(OrderEvent, 1))
        assert isinstance(seen[0], Connected)
        assert seen[1].trade.trade_id == 12345678
        # And it asked in the documented form
        assert venue.asked == [
            "/private/ws?listenKey=key1"
            "&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE/ACCOUNT_CONFIG_UPDATE"
        ]

    run(story())


def test_combined_frames_are_unwrapped() -> None:
    async def story() -> None:
        wrapped = json.dumps({"stream": "key1", "data": json.loads(FILL)})
        async with Venue(says(wrapped)).running() as endpoints:
            seen = await until(user_stream(endpoints, Keys()), count(OrderEvent, 1))
        assert seen[1].order.client_id == "TEST"

    run(story())


def test_the_other_form_of_the_address_can_be_chosen_and_is_tried_when_one_is_refused() -> None:
    async def story() -> None:
        venue = Venue(says(FILL))
        async with venue.running() as endpoints:
            await until(user_stream(endpoints, Keys(), form=UserStreamForm.PATH), count(OrderEvent, 1))
        assert venue.asked == ["/private/ws/key1"]

        venue = Venue(says(FILL), refuse=lambda path: path == "/private/ws")
        async with venue.running() as endpoints:
            seen = await until(user_stream(endpoints, Keys()), count(OrderEvent, 1))
        assert [type(event) for event in seen] == [Disconnected, Connected, OrderEvent]
        assert "status 404" in seen[0].reason
        assert venue.asked[-1] == "/private/ws/key2"

    run(story())


def test_a_lost_socket_is_replaced_with_a_key_asked_anew() -> None:
    async def story() -> None:
        venue, keys = Venue(says_and_goes(FILL), says_and_goes(), says(FILL)), Keys()
        async with venue.running() as endpoints:
            seen = await until(user_stream(endpoints, keys), count(OrderEvent, 2))
        assert [type(event) for event in seen] == [
            Connected,
            OrderEvent,
            Disconnected,
            Connected,
            Disconnected,
            Connected,
            OrderEvent,
        ]
        assert keys.made == 3

    run(story())


def test_an_expired_key_is_told_and_the_socket_left() -> None:
    async def story() -> None:
        expired = json.dumps({"e": "listenKeyExpired", "E": 7, "listenKey": "key1"})
        venue = Venue(says(expired), says(FILL))
        async with venue.running() as endpoints:
            seen = await until(user_stream(endpoints, Keys()), count(OrderEvent, 1))
        assert [type(event) for event in seen] == [
            Connected,
            StreamExpired,
            Disconnected,
            Connected,
            OrderEvent,
        ]

    run(story())


def test_a_malformed_frame_is_logged_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        odd = ["", "{", "[]", '{"e": "ORDER_TRADE_UPDATE", "E": 1}', '{"result": null, "id": 1}']
        async with Venue(says(*odd, FILL)).running() as endpoints:
            seen = await until(user_stream(endpoints, Keys()), count(OrderEvent, 1))
        assert [type(event) for event in seen] == [Connected, OrderEvent]

    with caplog.at_level(logging.WARNING):
        run(story())
    assert sum("frame left out" in record.getMessage() for record in caplog.records) == 4


def test_a_silent_peer_is_noticed_by_its_missing_pong() -> None:
    async def story() -> None:
        began = time.monotonic()
        async with Venue(mute, says(FILL)).running() as endpoints:
            timing = Timing(heartbeat=0.2, retry_first=0.01, retry_max=0.02)
            seen = await until(user_stream(endpoints, Keys(), timing=timing), count(OrderEvent, 1))
        assert isinstance(seen[1], Disconnected)
        assert time.monotonic() - began < 5

    run(story())


def test_the_key_is_kept_alive_and_a_lost_one_replaced() -> None:
    async def story() -> None:
        gone = OrderRejected("gone", code=-1125, status=400, refusal=Refusal.LISTEN_KEY_GONE)
        keys = Keys(None, ExchangeUnavailable("later"), gone)
        timing = Timing(keepalive=0.03, keepalive_retry=0.01, retry_first=0.01, retry_max=0.02)
        async with Venue(says()).running() as endpoints:
            seen = await until(user_stream(endpoints, keys, timing=timing), count(Connected, 2))
        assert seen[1].reason == "the listen key is gone"
        assert keys.kept >= 3
        assert keys.made == 2

    run(story())


def test_a_connection_is_left_before_it_is_a_day_old() -> None:
    async def story() -> None:
        timing = Timing(lifetime=0.05, retry_first=0.01, retry_max=0.02)
        async with Venue(says()).running() as endpoints:
            seen = await until(user_stream(endpoints, Keys(), timing=timing), count(Connected, 2))
        assert "Binance ends connections after a day" in seen[1].reason

    run(story())


def test_a_refused_key_is_told_and_tried_again() -> None:
    async def story() -> None:
        answers: list[Exception | str] = [CredentialsRefused("no", code=-2015), "key"]

        def listen_key() -> str:
            said = answers.pop(0)
            if isinstance(said, Exception):
                raise said
            return said

        async with Venue(says()).running() as endpoints:
            stream = UserStream(endpoints, listen_key=listen_key, keep_listen_key=lambda: None, timing=QUICK)
            seen = await until(stream, count(Connected, 1))
        assert isinstance(seen[0].error, CredentialsRefused)

    run(story())


def test_an_unreachable_venue_is_tried_with_growing_pauses() -> None:
    async def story() -> None:
        timing = Timing(retry_first=0.01, retry_max=0.05)
        stream = user_stream(Endpoints("http://127.0.0.1:1", "ws://127.0.0.1:1"), Keys(), timing=timing)
        seen = await until(stream, count(Disconnected, 6))
        pauses = [event.retry_in for event in seen]
        assert pauses[0] <= 0.01
        assert all(0.025 <= pause <= 0.05 for pause in pauses[3:])

    run(story())


def test_a_socket_that_breaks_off_soon_is_opened_with_growing_pauses() -> None:
    async def story() -> None:
        # Given a venue that closes each socket right after an event
        async with Venue(says_and_goes(FILL)).running() as endpoints:
            timing = Timing(retry_first=0.005, retry_max=0.08)
            seen = await until(user_stream(endpoints, Keys(), timing=timing), count(Disconnected, 6))

        # Then the pauses grow all the same: each connect costs weight
        pauses = [event.retry_in for event in seen if isinstance(event, Disconnected)]
        assert pauses[-1] >= 0.04 > pauses[0]

    run(story())


def test_a_wait_that_was_asked_for_is_kept_with_a_little_more() -> None:
    async def story() -> None:
        def banned() -> str:
            raise ExchangeUnavailable("Banned.", refusal=Refusal.BANNED, wait_ms=60_000)

        endpoints = Endpoints("http://127.0.0.1:1", "ws://127.0.0.1:1")
        stream = UserStream(endpoints, listen_key=banned, keep_listen_key=lambda: None, timing=QUICK)
        (seen,) = await until(stream, count(Disconnected, 1))
        assert 60.3 <= seen.retry_in <= 61.3

    run(story())


def test_cancelling_the_reader_closes_the_socket() -> None:
    async def story() -> None:
        venue = Venue(says(FILL))
        arrived = asyncio.Event()

        async def read(stream: UserStream) -> None:
            async with contextlib.aclosing(stream.events()) as events:
                async for event in events:
                    if isinstance(event, OrderEvent):
                        arrived.set()

        async with venue.running() as endpoints:
            task = asyncio.create_task(read(user_stream(endpoints, Keys())))
            async with asyncio.timeout(5):
                await arrived.wait()
                assert venue.open == 1
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                while venue.open:
                    await asyncio.sleep(0.005)
        assert len(venue.asked) == 1
        assert len(asyncio.all_tasks()) == 1

    run(story())


def test_an_event_we_do_not_act_on_is_passed_on() -> None:
    async def story() -> None:
        async with Venue(says(sample_text("ws/trade_lite"))).running() as endpoints:
            seen = await until(user_stream(endpoints, Keys()), count(OtherEvent, 1))
        assert seen[1].name == "TRADE_LITE"

    run(story())


# --- prices ---------------------------------------------------------------------------------


def framed(name: str) -> str:
    return json.dumps({"stream": "x", "data": json.loads(sample_text(f"ws/{name}"))})


def test_prices_of_some_symbols() -> None:
    async def story() -> None:
        venue = Venue(says(framed("mark_price_live"), framed("agg_trade_stream")))
        async with venue.running() as endpoints:
            stream = MarketStream(endpoints, ["ETHUSDT", "BTCUSDT"], timing=QUICK)
            seen = await until(stream, count(PriceTick, 2))
        assert [event.kind for event in seen[1:]] == [PriceKind.MARK, PriceKind.LAST]
        assert venue.asked == [
            "/market/stream?streams=btcusdt@markPrice@1s/btcusdt@aggTrade/ethusdt@markPrice@1s/ethusdt@aggTrade"
        ]

    run(story())


def test_other_symbols_are_watched_on_the_open_connection() -> None:
    async def story() -> None:
        asked: list[Any] = []

        async def takes_changes(socket: web.WebSocketResponse) -> None:
            await socket.send_str(framed("mark_price_live"))
            async for message in socket:
                asked.append(json.loads(message.data))
                await socket.send_json({"result": None, "id": asked[-1]["id"]})
                await socket.send_str(framed("mark_price_live"))

        # Given prices of one symbol
        venue = Venue(takes_changes)
        async with venue.running() as endpoints:
            stream = MarketStream(endpoints, ["BTCUSDT"], timing=QUICK)
            ticks = 0
            async with asyncio.timeout(5), contextlib.aclosing(stream.events()) as events:
                async for event in events:
                    ticks += isinstance(event, PriceTick)
                    # When another one is to be watched in its place
                    if ticks == 1:
                        stream.watch(["BTCUSDT"])  # the same: nothing happens
                        stream.watch(["测试USDT"])
                    if ticks == 3:
                        break

        # Then the connection is asked to change what it carries, and is the only one
        assert [(each["method"], each["params"]) for each in asked] == [
            ("SUBSCRIBE", ["测试usdt@markPrice@1s", "测试usdt@aggTrade"]),
            ("UNSUBSCRIBE", ["btcusdt@markPrice@1s", "btcusdt@aggTrade"]),
        ]
        assert venue.asked == ["/market/stream?streams=btcusdt@markPrice@1s/btcusdt@aggTrade"]

    run(story())


def test_more_symbols_than_an_address_takes_are_watched_on_one_connection() -> None:
    async def story() -> None:
        asked: list[str] = []

        async def takes_changes(socket: web.WebSocketResponse) -> None:
            async for message in socket:
                change = json.loads(message.data)
                asked.extend(change["params"])
                await socket.send_json({"result": None, "id": change["id"]})
                if len(asked) > 500:
                    await socket.send_str(framed("mark_price_live"))

        # Given as many symbols as one connection may carry
        symbols = [f"S{number:03}USDT" for number in range(400)]
        venue = Venue(takes_changes)
        async with venue.running() as endpoints:
            stream = MarketStream(endpoints, symbols, timing=replace(QUICK, between_messages=0.0))
            await until(stream, count(PriceTick, 1))

        # Then the address is one that servers take, and all the others are asked for behind it
        (address,) = venue.asked
        assert len(address) < 8000
        first = address.partition("streams=")[2].split("/")
        kinds = ("markPrice@1s", "aggTrade")
        assert first + asked == [f"{name.lower()}@{kind}" for name in symbols for kind in kinds]

    run(story())


@pytest.mark.parametrize("answer", ["", '{"error": {"code": 2, "msg": "Invalid request"}, "id": 1}'])
def test_a_server_that_takes_no_change_is_connected_to_anew(answer: str) -> None:
    async def story() -> None:
        async def takes_none(socket: web.WebSocketResponse) -> None:
            await socket.send_str(framed("mark_price_live"))
            async for _ in socket:
                if answer:
                    await socket.send_str(answer)

        venue = Venue(takes_none)
        async with venue.running() as endpoints:
            stream = MarketStream(endpoints, timing=replace(QUICK, answer=0.2))
            seen: list[Any] = []
            async with asyncio.timeout(5), contextlib.aclosing(stream.events()) as events:
                stream.watch(["BTCUSDT"])
                async for event in events:
                    seen.append(event)
                    if count(PriceTick, 1)(seen):
                        stream.watch(["BTCUSDT", "测试USDT"])
                    if count(PriceTick, 2)(seen):
                        break
        assert venue.asked[0] == "/market/stream?streams=btcusdt@markPrice@1s/btcusdt@aggTrade"
        assert venue.asked[1].endswith("/%E6%B5%8B%E8%AF%95usdt@markPrice@1s/%E6%B5%8B%E8%AF%95usdt@aggTrade")
        assert len(venue.asked) == 2

    run(story())


def test_what_cannot_be_watched_is_said() -> None:
    endpoints = Endpoints("http://127.0.0.1:1", "ws://127.0.0.1:1")
    with pytest.raises(ValueError, match="At most 400 symbols"):
        MarketStream(endpoints, [f"S{number}USDT" for number in range(401)])
    with pytest.raises(ValueError, match="stream address must be like"):
        MarketStream(Endpoints("http://x", "fstream.binance.com"), [])


def test_bars_of_several_symbols_and_lengths_come_on_one_connection() -> None:
    async def story() -> None:
        venue = Venue(says(FRAME_OPEN, FRAME_OPEN.replace('"x": false', '"x": true')))
        async with venue.running() as endpoints:
            stream = KlineStream(endpoints, timing=QUICK)
            stream.watch([("ETHUSDT", "1m"), ("BTCUSDT", "1M")])
            seen: list[Kline] = []
            async with asyncio.timeout(5), contextlib.aclosing(stream.events()) as events:
                async for event in events:
                    if isinstance(event, Kline):
                        seen.append(event)
                    if len(seen) == 2:
                        break
        assert [bar.closed for bar in seen] == [False, True]
        # A month is M, a minute m.
        assert venue.asked == ["/market/stream?streams=btcusdt@kline_1M/ethusdt@kline_1m"]
        with pytest.raises(ValueError, match="At most 800"):
            stream.watch([(f"S{number}", "1m") for number in range(801)])

    run(story())


FRAME_OPEN = (
    '{"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": 1790771371858, "s": "BTCUSDT", "k": {"t": 1790771340000,'
    '"T": 1790771399999, "s": "BTCUSDT", "i": "1m", "o": "83896.40", "c": "83860.20", "h": "83920.00", "l": "83860.10",'
    '"v": "114.602", "n": 2239, "x": false}}}'
)
