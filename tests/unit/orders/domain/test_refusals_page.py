"""The page of refusals says what is decided, and every code is on it once; each meaning has its sentence."""

from __future__ import annotations

import re

import pytest

from exchange.binance.errors import KINDS
from exchange.refusals import SENTENCES, Refusal
from orders.domain.operator_questions import Question, QuestionKind
from tests.unit.orders.domain.refusals_page import CHECKOUT, PAGE, page, row_of


def test_the_page_is_made_by_asking() -> None:
    again = "run: .venv/bin/python -m tests.unit.orders.domain.refusals_page"
    assert (CHECKOUT / PAGE).read_text() == page(), again


def test_every_code_is_listed_once() -> None:
    cells = [line.split("|")[1] for line in page().splitlines() if line.startswith("| -")]
    listed = [int(code) for cell in cells for code in re.findall(r"-\d+", cell)]
    assert sorted(listed) == sorted(KINDS)


def test_every_meaning_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Refusal)
    for sentence in SENTENCES.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@pytest.mark.parametrize("code", [-4087, -4400, -4401])
def test_an_account_that_may_only_reduce_goes_on_protecting(code: int) -> None:
    meaning, first, *protecting, words = row_of(code)
    assert (meaning, first) == ("REDUCE_ONLY", "rolled back; no entry of the account")
    assert all(done.startswith("again") for done in protecting)
    assert "API key" not in words


@pytest.mark.parametrize(
    "kind", [QuestionKind.TARGET_REFUSED, QuestionKind.EXIT_REFUSED, QuestionKind.KEY_REFUSED]
)
def test_a_refusal_without_a_code_shows_none(kind: QuestionKind) -> None:
    sentence = Question(kind, {"text": "HTTP status 404 without a reason", "code": 0}).sentence
    assert "HTTP status 404 without a reason" in sentence
    assert "code" not in sentence
    assert "code -4016" in Question(kind, {"text": "Too high", "code": -4016}).sentence
