"""Binance's WebSocket streams: what an account does, and prices."""
