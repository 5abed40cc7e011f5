"""Plain loops over libraries of others: an entry, its stop and its target, one trio after the other, without a database.

What a script would do that nobody watches. Each runs in a process of its own (ccxt and python-binance with the packages of the
contract tests' environment) on the same exchange, on accounts of its own, given on standard input as JSON.
"""
