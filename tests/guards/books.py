"""Guards of the books: what is read of an account's income, and whose it is."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

SHARES: Final = "tests/unit/orders/domain/test_income_shares.py"
READING: Final = "tests/unit/worker/test_income_reading.py"
FIGURES: Final = "tests/unit/orders/domain/test_statistics.py"
PAGES: Final = "tests/unit/exchange/test_income.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a reading of income is charged as watching",
        "P10",
        "reading income uses up the weight that protection needs",
        (
            Removal(
                "worker/income_reading.py",
                "with spending(Priority.WATCH):",
                "with spending(Priority.PROTECT):",
            ),
        ),
        (f"{READING}::test_a_reading_that_hangs_holds_up_nobody",),
    ),
    Guard(
        "a full page of income is not the last",
        "P6",
        "lines beyond the first thousand are never booked",
        (
            Removal(
                "exchange/binance/paging.py",
                "            newest = max(line.time for line in page)\n",
                "            break\n            newest = max(line.time for line in page)\n",
            ),
        ),
        (f"{PAGES}::test_pages_join_without_a_gap_and_without_a_line_twice",),
    ),
    Guard(
        "equal sizes do not tell whose funding it is",
        "P6",
        "of a long and a short of one size, one is booked the other's funding",
        (
            Removal(
                "orders/domain/income_shares.py",
                "    if not longs or not shorts or longs == shorts or not total:",
                "    if not longs or not shorts:",
            ),
        ),
        (f"{SHARES}::test_equal_sizes_do_not_tell_so_the_rate_must",),
    ),
    Guard(
        "a drawdown begins at zero",
        "P6",
        "a loss at the beginning is no drawdown",
        (
            Removal(
                "orders/domain/statistics.py",
                "    height = total = deepest = ZERO\n",
                "    total = deepest = ZERO\n    height = nets[0] if nets else ZERO\n",
            ),
        ),
        (f"{FIGURES}::test_six_trades_as_counted_by_hand",),
    ),
)
