"""Sizing and levels: rounded towards less risk, too small is refused, leverage buys nothing more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.types import OrderType, Side
from signals.domain.refusals import RefusalKind, SignalRefused, sentence
from signals.domain.sizing import Figures, Grid, Means, figures, loss_per_unit
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms, TermsError, decimal

D = Decimal
ETH = Grid("ETHUSDT", D("0.01"), D("0.001"), D("0.001"), D("20"), "USDT")


def size(kind: str, value: str, **said: Any) -> Size:
    return Size(SizeKind(kind), D(value), **said)


def level(kind: str, value: str) -> Level:
    return Level(LevelKind(kind), D(value))


def sized(
    wanted: Size | None = None,
    *,
    side: Side = Side.BUY,
    mark: str | None = "2000",
    atr: str | None = None,
    means: Means | None = None,
    **said: Any,
) -> Figures:
    usual: dict[str, Any] = {
        "stop": level("PRICE", "1960" if side is Side.BUY else "2040"),
        "target": level("R", "2"),
        "size": wanted or size("QUANTITY", "0.5"),
    }
    return figures(
        Terms(**(usual | said)),
        side=side,
        mark=D(mark) if mark else None,
        atr=D(atr) if atr else None,
        grid=ETH,
        means=means or Means(equity=D(10_000)),
    )


@pytest.mark.parametrize("leverage", [1, 10, 20])
def test_risk_counts_both_fees_and_no_leverage(leverage: int) -> None:
    # Case 22
    found = sized(
        size("RISK", "1"),
        entry_type=OrderType.LIMIT,
        price=D("2000.00"),
        mark="2010",
        means=Means(equity=D(10_000), leverage=leverage),
    )

    assert loss_per_unit(D(2000), D(1960), side=Side.BUY, fee=D("0.0005")) == D("41.98")
    assert found.quantity == D("2.382")
    assert found.at_stop == D("99.99636")
    assert found.margin - found.quantity * 2000 * D("0.0005") == D("4764") / leverage


def test_a_short_loses_as_much_upwards() -> None:
    found = sized(size("RISK", "1"), side=Side.SELL)

    assert loss_per_unit(D(2000), D(2040), side=Side.SELL, fee=D("0.0005")) == D("42.02")
    assert found.quantity == D("2.379")
    assert found.at_stop <= D(100)


def test_slippage_makes_a_risk_smaller() -> None:
    found = sized(size("RISK", "1", slippage=D("0.1")))

    # 2002 paid, 1958.04 got, and the fees of both
    assert found.quantity == D("2.176")
    assert found.at_stop <= D(100)


@pytest.mark.parametrize(
    ("wanted", "quantity"),
    [
        (size("QUANTITY", "0.5009"), "0.500"),
        (size("NOTIONAL", "777"), "0.388"),  # 0.3885
        (size("EQUITY", "10"), "0.500"),
    ],
)
def test_other_sizes_are_rounded_down(wanted: Size, quantity: str) -> None:
    assert sized(wanted).quantity == D(quantity)


def test_what_is_too_small_is_refused_and_never_raised() -> None:
    with pytest.raises(SignalRefused) as refused:
        sized(size("NOTIONAL", "19.99"))

    assert refused.value.kind is RefusalKind.SIZE_TOO_SMALL
    assert refused.value.facts == {"quantity": "0.009", "symbol": "ETHUSDT", "least": "0.01"}
    assert "below the smallest order of ETHUSDT, 0.01" in sentence(refused.value.kind, refused.value.facts)
    assert sized(size("NOTIONAL", "20")).quantity == D("0.010")


def test_above_the_free_margin_is_refused_unless_it_is_to_be_capped() -> None:
    means = Means(equity=D(10_000), free=D(100), leverage=10)
    with pytest.raises(SignalRefused) as refused:
        sized(size("NOTIONAL", "2000"), means=means)
    assert refused.value.kind is RefusalKind.SIZE_ABOVE_MARGIN
    assert refused.value.facts["needed"] == "201"
    assert refused.value.facts["free"] == "100"

    capped = sized(size("NOTIONAL", "2000", cap=True), means=means)
    assert capped.margin <= D(100)
    assert capped.quantity == D("0.487")


def test_without_free_margin_a_cap_refuses_too() -> None:
    with pytest.raises(SignalRefused) as refused:
        sized(size("NOTIONAL", "2000", cap=True), means=Means(equity=D(1), free=D("-5")))
    assert refused.value.kind is RefusalKind.SIZE_TOO_SMALL


@pytest.mark.parametrize(
    ("side", "stop", "target", "prices"),
    [
        # a long's stop up to the next tick and its target down; a short's mirrored
        (Side.BUY, level("PERCENT", "1.0003"), level("PERCENT", "2.0003"), ("1980.00", "2040.00")),
        (Side.SELL, level("PERCENT", "1.0003"), level("PERCENT", "2.0003"), ("2020.00", "1960.00")),
        (Side.BUY, level("ATR", "1.5"), level("R", "2"), ("1981.49", "2037.02")),
        (Side.SELL, level("ATR", "1.5"), level("ATR", "3"), ("2018.51", "1962.97")),
        (Side.BUY, level("PRICE", "1960.001"), level("PRICE", "2100.019"), ("1960.01", "2100.01")),
    ],
)
def test_levels_are_rounded_towards_the_entry(
    side: Side, stop: Level, target: Level, prices: tuple[str, str]
) -> None:
    found = sized(side=side, stop=stop, target=target, atr="12.345")

    assert (found.stop, found.target) == (D(prices[0]), D(prices[1]))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"mark": None}, RefusalKind.LEVEL_UNKNOWN),
        ({"stop": None}, RefusalKind.LEVEL_UNKNOWN),
        ({"stop": level("ATR", "1")}, RefusalKind.LEVEL_UNKNOWN),
        ({"stop": level("R", "1")}, RefusalKind.LEVEL_UNKNOWN),
        ({"stop": level("PERCENT", "100")}, RefusalKind.LEVEL_IMPOSSIBLE),
        ({"wanted": size("EQUITY", "1"), "means": Means()}, RefusalKind.SIZE_UNKNOWN),
        ({"wanted": size("RISK", "1"), "stop": level("PRICE", "2100")}, RefusalKind.SIZE_UNKNOWN),
        # on the wrong side by so little that the fees alone would lose: 1.50 each, which would buy 66 of them
        ({"wanted": size("RISK", "1"), "stop": level("PRICE", "2000.50")}, RefusalKind.SIZE_UNKNOWN),
        (
            {"wanted": size("RISK", "1"), "stop": level("PRICE", "1999.50"), "side": Side.SELL},
            RefusalKind.SIZE_UNKNOWN,
        ),
        ({"wanted": size("RISK", "1"), "stop": level("PRICE", "2000")}, RefusalKind.SIZE_UNKNOWN),
        ({"size": None}, RefusalKind.SIZE_UNKNOWN),
    ],
)
def test_what_cannot_be_worked_out_is_refused(said: dict[str, Any], kind: RefusalKind) -> None:
    with pytest.raises(SignalRefused) as refused:
        sized(**said)
    assert refused.value.kind is kind
    assert sentence(kind, refused.value.facts)


def test_terms_come_back_as_they_were_stored() -> None:
    terms = Terms(
        stop=level("ATR", "1.50"),
        target=level("R", "2"),
        size=size("RISK", "0.5", cap=True, slippage=D("0.02")),
        entry_type=OrderType.STOP,
        price=D("0.0000001"),
        trigger=D("0.0000002"),
        protection="PRE_ARMED",
    )

    assert Terms.from_json(terms.as_json()) == terms
    assert terms.as_json()["price"] == "0.0000001"
    assert Terms.from_json({}) == Terms()


@pytest.mark.parametrize(
    "bad",
    ["13,75", "NaN", "Infinity", "-Infinity", "", "1e400", "1_000", "0x10", "abc", True, None, 1.5, "1" * 60],
)
def test_what_is_no_number_is_refused(bad: Any) -> None:
    with pytest.raises(TermsError) as refused:
        decimal("quantity", bad)
    assert refused.value.field == "quantity"


def test_a_decimal_comma_is_shown_back_as_what_it_may_mean() -> None:
    with pytest.raises(TermsError, match=r"has a comma. Write 13\.75 if that is meant"):
        decimal("quantity", "13,75")


@pytest.mark.parametrize(
    "said",
    [
        {"stop": {"kind": "PIPS", "value": "1"}},
        {"stop": {"kind": "PRICE", "value": "0"}},
        {"size": {"kind": "RISK", "value": "-1"}},
        {"entry_type": "MAYBE"},
    ],
)
def test_terms_that_are_none_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(TermsError):
        Terms.from_json(said)


@pytest.mark.parametrize(
    ("side", "trigger", "price", "expected"),
    [
        # a trigger is never reached before the price that was named
        (Side.BUY, "2010.001", None, ("2010.01", None)),
        (Side.SELL, "1989.999", None, ("1989.99", None)),
        # a limit is never worse than was named …
        (Side.BUY, "2010.001", "2012.009", ("2010.01", "2012.00")),
        (Side.SELL, "1989.999", "1988.001", ("1989.99", "1988.01")),
        (Side.BUY, "2010.001", "2009.009", ("2010.01", "2009.00")),
        # … but one within reach of its trigger stays there: apart by a tick it might never fill
        (Side.BUY, "2010.001", "2010.001", ("2010.01", "2010.01")),
        (Side.SELL, "1989.999", "1989.999", ("1989.99", "1989.99")),
    ],
)
def test_a_stop_entry_is_sized_from_its_trigger_on_the_tick(
    side: Side, trigger: str, price: str | None, expected: tuple[str, str | None]
) -> None:
    found = sized(
        size("RISK", "1"),
        side=side,
        stop=level("PERCENT", "1"),
        entry_type=OrderType.STOP if price else OrderType.STOP_MARKET,
        trigger=D(trigger),
        price=D(price) if price else None,
        mark="2000",
    )

    assert (found.trigger, found.price) == (D(expected[0]), D(expected[1]) if expected[1] else None)
    entry = found.price or found.trigger
    assert entry is not None
    loss = loss_per_unit(entry, found.stop, side=side, fee=D("0.0005"))
    assert 99 < found.quantity * loss <= 100
