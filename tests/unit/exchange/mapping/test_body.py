"""What is JSON and what is not, before anybody reads a field."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.mapping.account import read_account_config, read_position
from exchange.binance.mapping.algo_orders import read_algo_order
from exchange.binance.mapping.body import ForeignShape, parse
from exchange.binance.mapping.fields import decimal
from exchange.binance.mapping.orders import read_order


def test_a_number_is_never_a_float() -> None:
    body = parse('{"a": 0.1, "b": 1e-8, "c": 3, "d": 12345678901234567890.123456789}')
    assert body == {"a": "0.1", "b": "1e-8", "c": 3, "d": "12345678901234567890.123456789"}
    assert decimal(body, "d") == Decimal("12345678901234567890.123456789")
    json.dumps(body)  # and what is kept can be kept as JSON


@pytest.mark.parametrize(
    "text", ["", "   ", "<html>", '{"a": NaN}', "[" * 100_000, '{"a": Infinity}', '{"a":']
)
def test_what_is_not_json_is_foreign(text: str) -> None:
    with pytest.raises(ForeignShape):
        parse(text)


@pytest.mark.parametrize("body", [None, [], "text", 3, True])
def test_something_else_altogether_is_foreign(body: Any) -> None:
    for reader in (read_order, read_algo_order, read_position, read_account_config):
        with pytest.raises(ForeignShape):
            reader(body)
