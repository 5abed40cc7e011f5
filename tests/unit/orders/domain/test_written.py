"""What a person writes for a level or a size is understood, or refused with what to write."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from orders.domain.errors import RuleBroken
from orders.domain.sizing import Level, LevelKind, Size, SizeKind
from orders.domain.written import level_read, level_words, size_read, size_words


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2%", Level(LevelKind.PERCENT, D("2"))),
        (" 0.75 % ", Level(LevelKind.PERCENT, D("0.75"))),
        (".5%", Level(LevelKind.PERCENT, D("0.5"))),
        ("1.5R", Level(LevelKind.R, D("1.5"))),
        ("2 r", Level(LevelKind.R, D("2"))),
        ("59500", None),  # a price
        ("ten", None),
        ("-2%", None),
        ("1e5", None),
    ],
)
def test_a_level_is_a_price_or_a_distance(text: str, level: Level | None) -> None:
    assert level_read("take_profit", text) == level


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("stop_loss", "59500,5", "Write 59500.5 if that is meant"),
        ("stop_loss", "1,5%", "Write 1.5 if that is meant"),
        ("take_profit", "1,234,567", "has a comma"),
        ("take_profit", "0%", "greater than zero"),
        ("stop_loss", "1.5R", "cannot say where that is"),
    ],
)
def test_a_level_that_could_mean_two_things_is_refused(field: str, text: str, words: str) -> None:
    with pytest.raises(RuleBroken, match=words) as refused:
        level_read(field, text)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("250 USDT", Size(SizeKind.NOTIONAL, D("250"))),
        ("250usdt", Size(SizeKind.NOTIONAL, D("250"))),
        ("0.01 BTC", Size(SizeKind.QUANTITY, D("0.01"))),
        ("1% risk", Size(SizeKind.RISK, D("1"))),
        ("0.5 % of equity", Size(SizeKind.EQUITY, D("0.5"))),
    ],
)
def test_a_size_is_a_quantity_a_value_or_a_part_of_the_equity(text: str, size: Size) -> None:
    written = size_read(text)
    assert written is not None
    assert written.size(base="BTC", quote="USDT") == size


@pytest.mark.parametrize("text", ["0.010", "", "1e999999", "NaN", "ten"])
def test_what_is_no_more_than_a_number_is_left_to_the_number(text: str) -> None:
    written = size_read(text)
    assert written is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("13,75", "Write 13.75 if that is meant"),
        ("1%", "write “1% risk” .* or “1% equity”"),
        ("250 ETH", "a value like “250 USDT”"),
        ("0 USDT", "greater than zero"),
        ("3 lots", "not a size that can be understood"),
    ],
)
def test_a_size_that_could_mean_two_things_is_refused(text: str, words: str) -> None:
    with pytest.raises(RuleBroken, match=words):
        _size(text)


def _size(text: str) -> Size:
    written = size_read(text)
    assert written is not None
    return written.size(base="BTC", quote="USDT")


def test_it_is_shown_back_as_it_was_understood() -> None:
    assert level_words(Level(LevelKind.R, D("1.50"))) == "1.5 × the distance from the entry to the stop-loss"
    assert level_words(Level(LevelKind.PRICE, D("0.0000001"))) == "price 0.0000001"
    assert size_words(Size(SizeKind.RISK, D("1")), base="BTC", quote="USDT") == (
        "1 % of the equity lost at the stop-loss, fees included"
    )
