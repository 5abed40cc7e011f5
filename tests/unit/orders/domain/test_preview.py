"""What a ticket comes to before it is placed, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exchange.types import LeverageBracket, OrderType, PositionMode, PositionSide, Side
from orders.domain.enums import Protection
from orders.domain.limits import Limits, Usage
from orders.domain.nearest import nearest_value
from orders.domain.preview import Costs, preview
from orders.domain.rounding import plain
from orders.domain.sizing import Grid, Level, LevelKind, Means
from orders.domain.snapshot import PartTarget, Rules, Spec
from orders.domain.understood import Around, Understood, Written, own, understood
from orders.domain.validation import Market
from orders.domain.written import size_read

ETH = Rules(
    symbol="ETHUSDT", tick_size=D("0.01"), step_size=D("0.001"), quantity_min=D("0.001"), notional_min=D("20"),
)  # fmt: skip
PEPE = Rules(
    symbol="1000PEPEUSDT", tick_size=D("0.0000001"), step_size=D("1"), quantity_min=D("1"), notional_min=D("5"),
)  # fmt: skip
LONG = Spec(
    side=Side.BUY,
    position_side=PositionSide.BOTH,
    mode=PositionMode.ONE_WAY,
    quantity=D("0.500"),
    entry_type=OrderType.LIMIT,
    protection=Protection.ON_FIRST_FILL,
    price=D("2000.00"),
    stop_loss=D("1960.00"),
    take_profit=D("2080.00"),
)
BRACKETS = (LeverageBracket(cap=D("50000"), maintenance_rate=D("0.004"), maintenance_amount=D(0)),)


def grid_of(rules: Rules) -> Grid:
    assert rules.tick_size
    assert rules.step_size
    return Grid(
        rules.symbol, rules.tick_size, rules.step_size, rules.quantity_min or D(0), rules.notional_min or D(0)
    )


def read(
    size: str, *, stop: Level | D | None = D("1960.00"), target: Level | D | None = None, leverage: int = 10
) -> Understood:
    written = Written(Side.BUY, OrderType.LIMIT, D("2000.00"), size_read(size), stop, target)
    means = Means(equity=D("10000.00"), leverage=leverage)
    return understood(written, Around(grid_of(ETH), means, base="ETH", quote="USDT"))


@pytest.mark.parametrize("leverage", [1, 10, 20])
def test_risk_is_what_the_stop_loses_with_its_fees(leverage: int) -> None:
    # Case 22: equity 10000, risk 1 %, BUY LIMIT 2000, stop 1960
    found = read("1% risk", leverage=leverage)
    assert found.quantity == D("2.382")
    assert found.words["quantity"] == (
        "2.382 ETH: 1 % of the equity lost at the stop-loss, fees included (equity 10000)."
    )

    figures = preview(
        replace(LONG, quantity=D("2.382")), ETH, Market(leverage=leverage), equity=D("10000.00")
    )
    assert figures.stop is not None
    assert (figures.stop.net, figures.stop.percent, figures.stop.r) == (
        D("-99.99636"), D("-1.00"), D("-1.00"),
    )  # fmt: skip
    assert (figures.margin, figures.needed) == (D("4764") / leverage, D("4764") / leverage + D("2.382"))


def test_levels_by_percent_and_r_become_prices_on_the_tick() -> None:
    found = read("100 USDT", stop=Level(LevelKind.PERCENT, D("2")), target=Level(LevelKind.R, D("1.5")))
    assert (found.stop_loss, found.take_profit, found.quantity) == (D("1960.00"), D("2060.00"), D("0.050"))
    assert found.words["stop_loss"] == "1960.00: 2 % from the entry (2000.00)."
    assert found.words["quantity"] == "0.050 ETH: worth 100 USDT at the entry."


def test_what_cannot_be_worked_out_says_what_is_missing() -> None:
    at_market = Written(
        Side.BUY, OrderType.MARKET, quantity=size_read("1% risk"), stop_loss=Level(LevelKind.PERCENT, D("2"))
    )
    around = Around(grid_of(ETH), Means(), base="ETH", quote="USDT")
    problems = {problem.field: str(problem) for problem in understood(at_market, around).problems}
    assert "the mark price is not known" in problems["stop_loss"]
    assert "the mark price is not known" in problems["quantity"]

    without_stop = read("1% risk", stop=None)
    assert "the stop-loss is not known" in str(without_stop.problems[0])


def test_a_changed_market_rules_every_digit() -> None:
    # Case 32: BTCUSDT → 1000PEPEUSDT, long 12345.678 @ 0.0095000, stop dragged to 0.00912347
    spec = replace(
        LONG, quantity=D("12345.678"), price=D("0.0095000"), stop_loss=D("0.00912347"), take_profit=D("0.0105"),
    )  # fmt: skip
    figures = preview(spec, PEPE, Market(), costs=Costs(fee=D(0)))
    assert figures.stop is not None
    assert own(figures.stop.level, PEPE.tick_size) == "0.0091235"
    assert own(figures.spec.quantity, PEPE.step_size) == "12345"
    assert figures.notional == D("117.2775")
    assert figures.stop.gross == D("-4.6478925")
    assert "trigger 0.0091235 (mark price)" in figures.orders[1]
    assert figures.orders[0] == "Entry: BUY 12345 1000PEPEUSDT limit 0.0095000 GTC"
    assert not any("E-" in line for line in figures.orders)

    # And the buttons beside the fields take exactly that
    assert nearest_value(spec, PEPE, Market(), "stop_loss") == D("0.0091235")
    assert nearest_value(spec, PEPE, Market(), "quantity") == D("12345")
    assert plain(D("0.0000001")) == "0.0000001"


def test_a_long_at_each_level() -> None:
    market = Market(
        mark_price=D("1999.00"), leverage=10, wallet=D("1000"), available=D("900"), promised=D("100"),
        brackets=BRACKETS, margin_asset="USDT",
    )  # fmt: skip
    figures = preview(LONG, ETH, market, equity=D("1000"), conditionals=(6, 2))
    assert (figures.notional, figures.margin, figures.needed) == (D("1000"), D("100"), D("100.5"))
    assert figures.free == D("800")
    assert (figures.entry_fee, figures.exit_fee) == (D("0.5"), D("0.49"))
    assert figures.stop is not None
    assert (figures.stop.gross, figures.stop.fees, figures.stop.net) == (D("-20"), D("0.99"), D("-20.99"))
    (target,) = figures.targets
    assert (target.net, target.percent, target.r) == (D("38.98"), D("3.90"), D("1.86"))
    assert figures.break_even == D("2002.01")  # 2000 × 1.0005 / 0.9995 = 2002.001, up
    assert figures.triggers_at_once is False
    assert figures.legs_left == 200 - 5 - 8 - 2
    assert figures.liquidation == D("0.00")  # the wallet carries all of it
    assert figures.liquidation_distance == D("1960.00")


def test_a_short_with_slippage() -> None:
    short = replace(LONG, side=Side.SELL, stop_loss=D("2040.00"), take_profit=D("1900.00"))
    figures = preview(
        short, ETH, Market(leverage=10, isolated=True, brackets=BRACKETS), costs=Costs(slippage=D("0.1"))
    )
    assert figures.stop is not None
    # Sold at 1998.00, bought back at 2042.04: 44.04 and fees of 2.02002, for each
    assert figures.stop.net == D("-23.03001")
    assert figures.stop.gross == D("-20")
    assert figures.stop.percent is None
    assert figures.break_even == D("1998.00")
    assert figures.liquidation is not None
    assert figures.liquidation_distance is not None
    assert figures.liquidation - D("2040.00") == figures.liquidation_distance > 0


def test_part_targets_take_their_shares_and_the_last_the_rest() -> None:
    parts = (PartTarget(1, D("2040.00"), D("50")),)
    spec = replace(LONG, quantity=D("0.421"), part_targets=parts)
    figures = preview(spec, ETH, Market(), costs=Costs(fee=D(0)))
    assert [(one.quantity, one.gross) for one in figures.targets] == [
        (D("0.210"), D("8.4")),
        (D("0.211"), D("16.88")),
    ]
    assert figures.gain is not None
    assert figures.gain.gross == D("25.28")  # case 4
    assert figures.legs_left is None
    assert [line.partition(":")[0] for line in figures.orders] == [
        "Entry", "Stop-loss", "Take-profit", "Part target",
    ]  # fmt: skip


def test_at_market_it_is_reckoned_at_the_mark_and_without_one_not_at_all() -> None:
    spec = replace(LONG, entry_type=OrderType.MARKET, price=None, protection=Protection.PRE_ARMED)
    unknown = preview(spec, ETH, Market())
    assert (unknown.entry, unknown.notional, unknown.stop, unknown.triggers_at_once) == (None,) * 4
    assert [line.partition(":")[0] for line in unknown.orders] == ["Stop-loss", "Take-profit", "Entry"]
    assert "0.500 ETHUSDT stop at market, trigger 1960.00 (mark price), reduce-only" in unknown.orders[0]

    fallen = preview(spec, ETH, Market(mark_price=D("1955.00")))
    assert fallen.triggers_at_once is True


def test_the_limits_say_what_they_leave() -> None:
    limits = Limits(
        account="desk", notional_order=D("500"), notional_open=D("5000"), trios_open=3, daily_loss=D("200")
    )
    usage = Usage(notional_open=D("1200"), trios_open=1, day_result=D("-50"))
    figures = preview(LONG, ETH, Market(), limited=[(limits, usage)])
    assert [(room.limit, room.left) for room in figures.headroom] == [
        ("order notional", D("-500")),
        ("open notional", D("2800")),
        ("open trios", D("1")),
        ("daily loss (UTC)", D("150")),
    ]


@pytest.mark.parametrize(
    ("changes", "field", "nearest"),
    [
        ({"quantity": D("0.5004")}, "quantity", D("0.500")),
        ({"quantity": D("0.001")}, "quantity", D("0.010")),  # worth 20
        ({"quantity": D("9")}, "quantity", D("7.960")),  # what 1600 of margin carry, with fees
        ({"stop_loss": D("2010.00")}, "stop_loss", D("1998.99")),  # below entry and mark
        ({"stop_loss": D("1960.005")}, "stop_loss", D("1960.01")),  # towards safety
        ({"take_profit": D("1990.00")}, "take_profit", D("2000.01")),
        ({"price": D("2000.005")}, "price", D("2000.00")),
        ({"price": None}, "price", D("1999.00")),
        ({}, "quantity", None),
        ({"position_side": PositionSide.LONG}, "position_side", None),
    ],
)
def test_the_nearest_valid_value(changes: dict[str, object], field: str, nearest: D | None) -> None:
    market = Market(mark_price=D("1999.00"), leverage=10, available=D("1600"))
    assert nearest_value(replace(LONG, **changes), ETH, market, field) == nearest  # type: ignore[arg-type]
