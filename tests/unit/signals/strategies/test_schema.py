"""Parameters: read off a dataclass, checked wherever they are entered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from signals.strategies.api import parameter
from signals.strategies.examples.breakout import Breakout
from signals.strategies.schema import BadParameter, ParameterSpec, describe, read_parameters


@dataclass
class Sample:
    count: int = parameter(5, least=1, most=9, help="how many")
    share: Decimal = parameter(Decimal("0.5"), least=0, most=1)
    loud: bool = False
    kind: str = parameter("a", choices=("a", "b"))


SPECS = describe(Sample)


def test_they_survive_being_written_down() -> None:
    again = [ParameterSpec.from_json(json.loads(json.dumps(spec.as_json()))) for spec in describe(Breakout)]
    assert again == describe(Breakout)
    assert Breakout(**read_parameters(again, {})) == Breakout()


def test_what_is_not_given_has_its_default_and_numbers_are_decimals() -> None:
    assert read_parameters(SPECS, {"share": "0.25", "count": "3"}) == {
        "count": 3, "share": Decimal("0.25"), "loud": False, "kind": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"count": "0"}, "at least 1"),
        ({"count": "10"}, "at most 9"),
        ({"count": "2.5"}, "whole number"),
        ({"count": "two"}, "number, written with a point"),
        ({"count": True}, "number, written with a point"),
        ({"share": 0.5}, "number, written with a point"),  # a float is somebody else's rounding
        ({"share": "0,5"}, "number, written with a point"),
        ({"share": "NaN"}, "number, written with a point"),
        ({"share": "1" * 50}, "number, written with a point"),
        ({"loud": "yes"}, "true or false"),
        ({"kind": "c"}, "one of a, b"),
        ({"kind": 1}, "one of a, b"),
        ({"code": "import os"}, "no parameter code"),
    ],
)
def test_a_value_outside_the_schema_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadParameter, match=words):
        read_parameters(SPECS, given)


def test_a_strategy_whose_parameters_have_no_form_is_refused() -> None:
    @dataclass
    class Float:
        x: float = 1.0

    @dataclass
    class Without:
        x: int

    for kind in (Float, Without, int):
        with pytest.raises(BadParameter):
            describe(kind)
