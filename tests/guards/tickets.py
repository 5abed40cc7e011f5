"""Guards on the order form: what is written means one thing, and one form makes one trio."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

TICKET: Final = "tests/unit/orders/admin/test_ticket.py"
WRITTEN: Final = "tests/unit/orders/domain/test_written.py"
PREVIEW: Final = "tests/unit/orders/domain/test_preview.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "one form makes one trio",
        "P2",
        "a second click, or the same form in a second tab, makes a second trio",
        (Removal("orders/admin/ticket.py", "        if made is not None:\n", "        if False:\n"),),
        (f"{TICKET}::test_the_same_form_sent_again_shows_the_trio_it_made",),
    ),
    Guard(
        "a form sent twice at once waits for itself",
        "P2",
        "two clicks that arrive together do not see each other's trio",
        (
            Removal(
                "orders/admin/ticket.py",
                '"SELECT pg_advisory_xact_lock(%s, %s)"',
                '"SELECT %s, %s"',
            ),
        ),
        (f"{TICKET}::test_the_same_form_sent_at_once_makes_one_trio",),
    ),
    Guard(
        "a comma is never guessed",
        "P8",
        "“13,75” is taken for 1375, a hundred times what was meant",
        (Removal("orders/domain/written.py", '    if "," in text:\n', "    if not text:\n"),),
        (f"{WRITTEN}::test_a_size_that_could_mean_two_things_is_refused",),
    ),
    Guard(
        "the nearest value breaks no rule",
        "P8",
        "the button beside an error takes a value that is refused in its turn",
        (
            Removal(
                "orders/domain/nearest.py",
                "    valid = [value for value in found if _is_valid(spec, rules, market, field, value)]\n",
                "    valid = found\n",
            ),
        ),
        (f"{PREVIEW}::test_the_nearest_valid_value",),
    ),
)
