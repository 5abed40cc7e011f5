"""Binance USDⓈ-M Futures. The library behind it is loaded with the first client, not before."""

from exchange.binance.client import BinanceExchange, BinancePublic
from exchange.binance.http import prepare
from exchange.clock_offset import ClockReading, best_reading, measure_offset

__all__ = [
    "BinanceExchange",
    "BinancePublic",
    "ClockReading",
    "best_reading",
    "measure_offset",
    "prepare",
]
