"""Guards of the exchange's word about our own orders: it wins, in whatever order it arrives."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

PURE: Final = "tests/unit/orders/domain/test_leg_updates.py"
STORY: Final = "tests/unit/orders/placement/test_the_exchanges_word.py"
AMENDED: Final = f"{STORY}::test_an_entry_amended_in_the_app_is_followed_as_it_is_and_one_question_asked"
STEPPED: Final = "tests/unit/orders/placement/test_clock_steps_back.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "an amended price is taken over",
        "P4",
        "the price watch waits at a level the order has left, and the fill is found late",
        (Removal("orders/domain/leg_updates.py", "price=view.price or leg.price,", "price=leg.price,"),),
        (AMENDED, f"{PURE}::test_what_the_newest_report_says_of_price_and_quantity_counts"),
    ),
    Guard(
        "an older report takes nothing back",
        "P6",
        "a late list or answer undoes what an event said after it",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "if view.conditional is not leg.conditional or at < (leg.seen_ts or 0):",
                "if view.conditional is not leg.conditional:",
            ),
        ),
        (f"{PURE}::test_an_ordinary_order_is_known_the_same_in_whatever_order_it_is_told",),
    ),
    Guard(
        "an execution outranks the end that was told first",
        "P6",
        "how an order ended depends on which report came first",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "return FINAL_WORD.index(shown) > FINAL_WORD.index(known)",
                "return False",
            ),
        ),
        (f"{PURE}::test_a_conditional_order_is_known_the_same_in_whatever_order_it_is_told",),
    ),
    Guard(
        "a person is asked about an amended order",
        "P6",
        "an order of ours is another one than was checked, and nobody is told",
        (
            Removal(
                "orders/placement/ingest.py",
                "if changes := _amended(leg, before, after):",
                "if changes := '':",
            ),
        ),
        (AMENDED,),
    ),
    Guard(
        "the exchange's cause is the trio's",
        "P6",
        "what a settlement closed on our way out is booked as ours",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "return forced if forced.cause is not trio.cause and (late_to_tell or not ours) else None",
                "return forced if late_to_tell else None",
            ),
        ),
        (f"{STORY}::test_what_the_exchange_closes_while_we_are_leaving_is_named_by_the_exchange",),
    ),
    Guard(
        "an order of ours that executed first names the trio",
        "P6",
        "a close of ours is booked as a settlement because the exchange closed what was left",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "(late_to_tell or not ours) else None",
                "(late_to_tell or True) else None",
            ),
        ),
        (f"{STORY}::test_an_order_of_ours_that_executed_before_the_exchange_closed_the_rest_names_the_trio",),
    ),
    Guard(
        "an enlarged position asks",
        "P6",
        "a person's own purchase is closed with the trio, and nobody said so before",
        (
            Removal(
                "orders/domain/decision/drifts.py",
                "    if not from_outside(trio):\n        return None\n",
                "    if True:\n        return None\n",
            ),
        ),
        (
            f"{STORY}::test_a_position_that_a_person_enlarges_is_covered_whole_and_asked_about_once_for_each_size",
        ),
    ),
    Guard(
        "a question is taken back when its size is gone",
        "P6",
        "a person is asked about a size that the position has no longer, and answers it",
        (
            Removal(
                "orders/domain/decision/drifts.py",
                "    still = outside > 0 and question.facts",
                "    still = True or question.facts",
            ),
        ),
        (
            f"{STORY}::test_a_position_that_a_person_enlarges_is_covered_whole_and_asked_about_once_for_each_size",
            "tests/unit/orders/domain/test_answers_stick.py"
            "::test_who_is_asked_about_an_enlarged_position_is_asked_about_its_size_now",
        ),
    ),
    Guard(
        "a lifted restriction is asked about no more",
        "P6",
        "a person answers for an account that trades again",
        (Removal("worker/settings_drift.py", "    if not account.restriction:\n", "    if False:\n"),),
        (
            "tests/unit/orders/placement/test_restrictions.py"
            "::test_what_is_asked_about_a_restriction_is_taken_back_when_that_is_lifted",
        ),
    ),
    Guard(
        "a question is taken back by what is known",
        "P6",
        "a position read before the fill takes back a question whose reason stands",
        (
            Removal(
                "orders/domain/decision/drifts.py",
                "question.kind is not QuestionKind.POSITION_ENLARGED or outside is None:",
                "question.kind is not QuestionKind.POSITION_ENLARGED:\n        return None\n    outside = outside or Decimal(0)\n    if False:",
            ),
        ),
        (
            "tests/unit/orders/domain/test_answers_stick.py"
            "::test_a_position_that_is_not_read_since_the_fill_takes_no_question_back",
        ),
    ),
    Guard(
        "a book dated ahead gives way",
        "P2, P6",
        "after the exchange's clock was set back, a flat slot reads as a position, and exit follows exit",
        (
            Removal(
                "orders/placement/ingest.py",
                "if as_of < slot.as_of and _is_dated_ahead(slot):",
                "if False:",
            ),
        ),
        (f"{STEPPED}::test_a_close_after_a_step_back_sends_one_exit_and_asks_nothing",),
    ),
    Guard(
        "a fill dated ahead is brought back",
        "P6, P9",
        "after the exchange's clock was set back, the position is read again and again until it has caught up",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "return brought_back(snapshot, stepped_ts)",
                "return brought_back(snapshot, None)",
            ),
        ),
        (f"{STEPPED}::test_a_close_after_a_step_back_sends_one_exit_and_asks_nothing",),
    ),
)
