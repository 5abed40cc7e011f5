"""The page of rules is made from the lists, and no list and no rule is missing from it."""

from __future__ import annotations

import inspect
from collections import Counter
from types import FunctionType, ModuleType

import pytest

from orders.domain.decision import cover, place, strangers, transitions, unwind
from tests.unit.orders.domain.rules_page import CHECKOUT, PAGE, page, reason, sections

ROOMS = (place, cover, strangers, unwind, transitions)
# What is no rule: it goes through a list, or is asked by others.
ENTRANCES = {
    "queue",
    "place",
    "work",
    "withdraw",
    "cover",
    "hold",
    "undo",
    "tidy_late",
    "apply_transitions",
    "strangers_taken_back",
}
ASKED_BY_OTHERS = {"cleared", "slot_trouble"}


def lists_of(room: ModuleType) -> dict[str, tuple[FunctionType, ...]]:
    return {
        name: value
        for name, value in vars(room).items()
        if isinstance(value, tuple) and value and all(inspect.isfunction(rule) for rule in value)
    }


def test_the_page_is_made_from_the_lists() -> None:
    again = "run: .venv/bin/python -m tests.unit.orders.domain.rules_page"
    assert (CHECKOUT / PAGE).read_text() == page(), again


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__.rpartition(".")[2])
def test_every_list_is_on_the_page_and_every_rule_in_a_list(room: ModuleType) -> None:
    # Given the lists of a room
    lists = lists_of(room)
    assert lists

    # Then each is on the page
    assert set(lists) == {section.list_name for section in sections() if section.room is room}

    # And a function is in one of them, or is known to be none of them
    rules = {rule.__name__ for rules in lists.values() for rule in rules}
    functions = {
        name
        for name, value in vars(room).items()
        if inspect.isfunction(value) and value.__module__ == room.__name__ and not name.startswith("_")
    }
    assert functions - rules - ENTRANCES - ASKED_BY_OTHERS == set()


def test_every_rule_has_a_name_and_a_reason_of_its_own() -> None:
    rules = {rule for section in sections() for rule in section.rules}
    assert len(rules) > 80, "the search for rules has gone blind"

    assert [rule.__name__ for rule in rules if not reason(rule).endswith(".") or "|" in reason(rule)] == []
    for rooms in (
        (transitions,),
        (place, cover, unwind),
    ):  # a step may be called after the transition it goes with
        names = Counter(rule.__name__ for rule in rules if rule.__module__ in {r.__name__ for r in rooms})
        assert [name for name, times in names.items() if times > 1] == []
