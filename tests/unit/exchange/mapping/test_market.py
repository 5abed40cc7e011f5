"""Prices, from REST and from the stream."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.mapping.body import ForeignShape, parse, read_frame
from exchange.binance.mapping.market import read_kline_event, read_klines, read_mark_price, read_price_tick
from exchange.types import Kline, PriceKind
from tests.unit.exchange.samples import D, sample_text


def read(name: str) -> Any:
    return parse(sample_text(f"rest/{name}"))


def test_a_mark_price() -> None:
    told = read_mark_price(read("premium_index"))
    assert (told.symbol, told.mark, told.time) == ("BTCUSDT", D("76916.95122464"), 1789478303000)


def test_prices() -> None:
    live = read_price_tick(read_frame(sample_text("ws/mark_price_live")))
    assert live is not None
    assert (live.kind, live.price, live.time) == (PriceKind.MARK, D("76888.10000000"), 1789478345000)
    trade = read_price_tick(read_frame(sample_text("ws/agg_trade_stream")))
    assert trade is not None
    assert (trade.kind, trade.price, trade.time) == (PriceKind.LAST, D("0.001"), 123456785)
    assert read_price_tick({"result": None, "id": 1}) is None


ROW = [1789478160000, "76936.20", "76965.50", "76936.10", "76965.40", "20.680", 1789478219999,
       "1591436.27140", 878, "15.190", "1168938.63310", "0"]  # fmt: skip
FRAME = (
    '{"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": 1790771371858, "s": "BTCUSDT", "k": {"t": 1790771340000,'
    '"T": 1790771399999, "s": "BTCUSDT", "i": "1m", "f": 8132503391, "L": 8132505633, "o": "83896.40", "c": "83860.20",'
    '"h": "83920.00", "l": "83860.10", "v": "114.602", "n": 2239, "x": false, "q": "9615538.66780", "V": "48.488",'
    '"Q": "4068722.10360", "B": "0"}}}'
)


def test_bars_that_were_read_do_not_say_whether_they_are_closed() -> None:
    (bar,) = read_klines("BTCUSDT", "1m")([ROW])
    assert bar == Kline(
        "BTCUSDT", "1m", 1789478160000, 1789478219999, D("76936.20"), D("76965.50"), D("76936.10"), D("76965.40"),
        D("20.680"), 878,
    )  # fmt: skip
    assert not bar.closed


def test_a_bar_of_the_stream_says_it() -> None:
    live = read_kline_event(read_frame(FRAME))
    assert live is not None
    assert (live.symbol, live.timeframe, live.open_time, live.close) == (
        "BTCUSDT",
        "1m",
        1790771340000,
        D("83860.20"),
    )
    assert (live.closed, live.time) == (False, 1790771371858)
    closed = read_kline_event(read_frame(FRAME.replace('"x": false', '"x": true')))
    assert closed is not None
    assert closed.closed
    assert read_kline_event({"e": "aggTrade"}) is None


@pytest.mark.parametrize(
    "odd",
    [
        ROW[:8],
        [*ROW[:2], "1.00", *ROW[3:]],  # high below low
        [*ROW[:3], "0", *ROW[4:]],  # a price of nothing
        [*ROW[:5], "-1", *ROW[6:]],  # volume
        [*ROW[:6], ROW[0], *ROW[7:]],  # ends when it begins
        [*ROW[:4], "NaN", *ROW[5:]],
    ],
)
def test_a_bar_that_cannot_be_is_refused(odd: list[Any]) -> None:
    with pytest.raises(ForeignShape):
        read_klines("BTCUSDT", "1m")([odd])


def test_a_frame_that_does_not_say_whether_it_is_closed_is_refused() -> None:
    with pytest.raises(ForeignShape, match="x is neither"):
        read_kline_event(read_frame(FRAME.replace('"x": false, ', "")))
