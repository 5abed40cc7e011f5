"""Binance USDⓈ-M Futures. The library behind it is loaded with the first client, not before."""

from exchange.binance.client import BinanceExchange, BinancePublic
from exchange.binance.clock import ClockReading, best_reading, measure_offset
from exchange.binance.wire import prepare

__all__ = [
    "BinanceExchange",
    "BinancePublic",
    "ClockReading",
    "best_reading",
    "measure_offset",
    "prepare",
]
