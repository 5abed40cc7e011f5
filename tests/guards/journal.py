"""Guards of the journal: no line of it is changed, lost or put in unnoticed."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

PROMISES: Final = "tests/unit/orders/placement/test_promises.py"
JOURNAL: Final = "tests/unit/orders/journal/test_journal.py"
TAMPERING: Final = "tests/unit/orders/journal/test_tampering.py"
UNFOUND: Final = ("ValueError",)  # where one break is expected, none is found

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "the journal is append-only",
        "P1, P6",
        "what was asked and answered can be changed afterwards, by a bug or a person",
        (
            Removal(
                "orders/migrations/0002_append_only.py",
                "    RAISE EXCEPTION 'the journal is append-only: % on % is refused', TG_OP, TG_TABLE_NAME\n"
                "        USING ERRCODE = 'restrict_violation';",
                "    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;",
            ),
        ),
        (f"{PROMISES}::test_the_database_refuses_to_change_or_delete_the_journal",),
    ),
    Guard(
        "a line goes with its head",
        "P1, P6",
        "a line is written that the trio knows nothing of, and its chain is broken from there on",
        (Removal("orders/migrations/0005_journal_sealed.py", "    IF NOT FOUND THEN", "    IF FALSE THEN"),),
        (f"{JOURNAL}::test_a_line_without_its_head_cannot_be_committed",),
    ),
    Guard(
        "a journal only grows",
        "P1, P6",
        "who saves a trio as it was takes its last lines back",
        (
            Removal(
                "orders/migrations/0005_journal_sealed.py",
                "    RAISE EXCEPTION 'the journal of trio % only grows: % lines cannot become %',\n"
                "        NEW.id, OLD.journal_length, NEW.journal_length USING ERRCODE = 'restrict_violation';",
                "    RETURN NEW;",
            ),
        ),
        (f"{JOURNAL}::test_a_stale_copy_of_the_trio_cannot_take_its_journal_back",),
    ),
    Guard(
        "each line is hashed",
        "P6",
        "a line changed by somebody who owns the server is taken for the one that was written",
        (
            Removal(
                "orders/journal/verify.py",
                "if row.hash != digest(row_content(row), previous=row.previous_hash):",
                "if not row.hash:",
            ),
        ),
        (f"{TAMPERING}::test_a_changed_row_is_found",),
        raises=UNFOUND,
    ),
    Guard(
        "anchors remember where a journal ended",
        "P6",
        "a journal cut off together with its head is taken for whole",
        (Removal("orders/journal/verify.py", "        if due is not None:\n", "        if False:\n"),),
        (f"{TAMPERING}::test_a_tail_cut_off_together_with_its_head_is_found_by_the_anchor",),
        raises=UNFOUND,
    ),
)
