"""Guards of an entry that follows the price."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_chasing.py"
FOLLOWED: Final = "tests/unit/worker/test_chase_watch.py"
CHASING: Final = "orders/domain/chasing.py"
FOLLOWING: Final = "orders/follow_verbs.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a chase ends after so many changes",
        "P9",
        "an entry that follows a restless price too closely fills its books with tens of thousands of requests a day",
        (Removal(CHASING, "return changes >= CHANGES_MAX", "return False"),),
        (f"{FOLLOWED}::test_it_ends_after_as_many_changes_as_one_may_make",),
    ),
    Guard(
        "a person's change ends the chase",
        "P8",
        "what a person has just said of the entry is changed back by the chase, without a word",
        (
            Removal(
                "orders/services.py",
                "            chase_ended_by_change(trio, by=by, now=now)\n",
                "",
            ),
        ),
        (
            "tests/unit/worker/test_following_cases.py::test_a_persons_change_of_the_entry_ends_its_chase_and_says_so",
        ),
    ),
    Guard(
        "of thousands of changes the newest is read",
        "P4",
        "a turn of a trio whose entry was changed all day takes seconds, is cut off, and its fill is never covered",
        (
            Removal(
                "orders/placement/turn_rows.py",
                "            GROUP BY newest.leg_id, newest.kind\n",
                "            GROUP BY newest.id\n",
            ),
        ),
        ("tests/unit/orders/placement/test_turn_rows.py::test_of_thousands_of_changes_the_newest_is_read",),
    ),
    Guard(
        "a chase stops at its bound",
        "P8",
        "an entry runs after the price, further than anybody meant to pay",
        (
            Removal(
                CHASING,
                "wanted = min(wanted, chase.bound) if buys else max(wanted, chase.bound)",
                "pass",
            ),
        ),
        (f"{DECIDED}::test_where_it_goes_next",),
    ),
    Guard(
        "a chase leaves what protects its orders",
        "P9",
        "entries that follow the price use up the orders that stops may need",
        (
            Removal(
                "orders/placement/begin.py",
                "return Priority.MOVE  # it rests meanwhile where it is",
                "return Priority.PROTECT",
            ),
        ),
        (f"{FOLLOWED}::test_its_changes_take_what_stops_that_move_may_use",),
    ),
    Guard(
        "limits at the bound of a chase",
        "P8",
        "an entry follows the price to where it is worth more than its account may open",
        (Removal(FOLLOWING, "terms=(entry.quantity, bound),", "terms=(entry.quantity, entry.price),"),),
        (f"{FOLLOWED}::test_what_it_may_come_to_is_checked_when_it_is_asked_for",),
    ),
    Guard(
        "a refused step is not asked for at once",
        "P9",
        "an entry that may not follow asks with every price",
        (
            Removal(
                FOLLOWING,
                "amend_open(entry) or _change_refused_lately(trio, now=now):",
                "amend_open(entry):",
            ),
        ),
        (f"{FOLLOWED}::test_new_risk_that_is_switched_off_stops_it_where_it_is",),
    ),
)
