"""The examples decide as their pages say."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from signals.strategies.api import Action, Candle, History, Position
from signals.strategies.examples.breakout import Breakout
from signals.strategies.examples.crossover import Crossover
from signals.strategies.examples.reversion import Reversion
from signals.strategies.examples.template import Template

D = Decimal
FLAT = Position()


def history(closes: Iterable[int | str]) -> History:
    candles = []
    for n, close in enumerate(map(D, closes)):
        candles.append(Candle(n * 60_000, n * 60_000 + 59_999, close, close + 1, close - 1, close, D(1)))
    return History("ADAUSDT", "1m", candles)


def test_breakout_stops_at_atr_and_targets_a_multiple_of_it() -> None:
    strategy = Breakout(bars=3, atr_bars=2, stop_atr=D(2), target_r=D(3))
    assert strategy.on_candle(history([100, 100, 100, 101]), FLAT) is None, "101 is the range's own high"
    found = strategy.on_candle(history([100, 100, 100, 102]), FLAT)
    # true ranges: 101 - 99 = 2 and 103 - 100 = 3, so ATR 2.5: stop 5 below, target 15 above
    assert found is not None
    assert (found.action, found.stop_loss, found.take_profit) == (Action.BUY, D(97), D(117))
    assert found.figures["atr"] == D("2.5")
    down = strategy.on_candle(history([100, 100, 100, 98]), FLAT)
    assert down is not None
    assert (down.action, down.stop_loss, down.take_profit) == (Action.SELL, D(103), D(83))


def test_breakout_waits_for_its_bars_and_while_it_holds() -> None:
    strategy = Breakout(bars=3, atr_bars=2)
    assert strategy.on_candle(history([100, 100, 102]), FLAT) is None
    assert strategy.on_candle(history([100, 100, 100, 102]), Position(D(5))) is None
    assert strategy.on_candle(history([100, 100, 100, 102]), Position(is_waiting=True)) is None
    assert Breakout(bars=3, atr_bars=2, shorts=False).on_candle(history([100, 100, 100, 98]), FLAT) is None


def test_crossover_acts_once_at_the_cross() -> None:
    strategy = Crossover(fast=1, slow=3, stop_percent=D(1), target_percent=D(2))
    found = strategy.on_candle(history([100, 100, 100, 100, 110]), FLAT)
    assert found is not None
    assert (found.action, found.stop_loss, found.take_profit) == (Action.BUY, D("108.9"), D("112.2"))
    assert strategy.on_candle(history([100, 100, 100, 100, 110, 120]), FLAT) is None
    down = strategy.on_candle(history([100, 100, 100, 100, 90]), FLAT)
    assert down is not None
    assert (down.action, down.stop_loss, down.take_profit) == (Action.SELL, D("90.9"), D("88.2"))
    with pytest.raises(ValueError, match="fewer bars"):
        Crossover(fast=5, slow=5)


def test_reversion_targets_the_middle_and_stops_as_far_away() -> None:
    strategy = Reversion(bars=5, width=D("1.5"))
    found = strategy.on_candle(history([100, 100, 100, 100, 90]), FLAT)
    # mean 98, deviation 4; 90 is two of them away
    assert found is not None
    assert (found.action, found.stop_loss, found.take_profit) == (Action.BUY, D(82), D(98))
    above = strategy.on_candle(history([100, 100, 100, 100, 110]), FLAT)
    assert above is not None
    assert (above.action, above.stop_loss, above.take_profit) == (Action.SELL, D(118), D(102))
    assert strategy.on_candle(history([100, 100, 100, 100, 100]), FLAT) is None
    assert Reversion(bars=5, width=D(3)).on_candle(history([100, 100, 100, 100, 90]), FLAT) is None


@pytest.mark.parametrize("strategy", [Breakout(), Crossover(), Reversion(), Template()])
def test_all_levels_stand_on_the_right_side_of_any_close(strategy: Any) -> None:
    walk = [100 + (n * 7919 % 13) - (n * 104729 % 11) for n in range(400)]
    for end in range(1, len(walk)):
        found = strategy.on_candle(history(walk[:end]), FLAT)
        if found is None:
            continue
        close, long = D(walk[end - 1]), found.action is Action.BUY
        assert (found.stop_loss < close < found.take_profit) is long
        assert (found.take_profit < close < found.stop_loss) is not long
