"""Binance's answers and events as our values; pure.

Numbers come as text and become ``Decimal``; a float never exists. A status we do not know becomes ``UNKNOWN`` with
``raw`` kept; a body that is something else altogether raises ``ForeignShape``.
"""
