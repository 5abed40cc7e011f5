"""Binance USDⓈ-M Futures. Nothing is imported here: a pure module of this package must not load an HTTP client."""
