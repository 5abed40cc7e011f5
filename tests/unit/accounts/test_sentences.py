"""What the exchange said reaches a person as one sentence: no phrase of ours twice around it."""

from __future__ import annotations

import itertools

import pytest

from accounts.error_messages import plain
from exchange.binance.answer import Answer
from exchange.binance.errors import KINDS, error_from, foreign_answer, no_answer
from exchange.errors import ExchangeError, ExchangeUnavailable
from exchange.refusals import Refusal

WORDS = 3  # in a row that stand there twice


def doubled(sentence: str) -> list[str]:
    """Return what stands there twice."""
    words = [word.strip(".,:;()“”").lower() for word in sentence.split()]
    runs = [" ".join(run) for run in zip(*(words[start:] for start in range(WORDS)), strict=False)]
    return sorted(run for run, group in itertools.groupby(sorted(runs)) if len(list(group)) > 1)


def errors() -> list[ExchangeError]:
    bodies = [(400, f'{{"code":{code},"msg":"Said {code}."}}') for code in [*KINDS, -9999]]
    bodies += [
        (401, ""),
        (403, ""),
        (404, ""),
        (405, ""),
        (408, ""),
        (418, ""),
        (429, ""),
        (500, ""),
        (503, ""),
    ]
    found: list[ExchangeError] = []
    for reading in (True, False):
        found += [error_from(Answer(status, {}, text), reading=reading) for status, text in bodies]
        found.append(foreign_answer(Answer(200, {}, "{}"), "odd", reading=reading))
        found += [
            no_answer(host="h", sent=sent, overdue=True, timeout_ms=600, reading=reading)
            for sent in (True, False)
        ]
    return found


@pytest.mark.parametrize("environment", ["PAPER", "TESTNET"])
@pytest.mark.parametrize("error", errors(), ids=lambda error: f"{error.status}{error.code}")
def test_no_phrase_stands_there_twice(error: ExchangeError, environment: str) -> None:
    for sentence in (error.message, plain(environment, error).sentence):
        assert doubled(sentence) == [], sentence
        assert "code 0" not in sentence
        assert "refused (0)" not in sentence


def test_the_test_sees_a_doubled_phrase() -> None:
    assert doubled("The exchange refused (-1121): The exchange refused: Invalid symbol.") == [
        "the exchange refused"
    ]


def test_an_unknown_code_keeps_the_exchanges_words() -> None:
    error = error_from(Answer(400, {}, '{"code":-9999,"msg":"A new rule."}'), reading=False)
    for sentence in (error.message, plain("PAPER", error).sentence):
        assert "A new rule (code -9999)" in sentence
        assert "not known here" in sentence


@pytest.mark.parametrize("environment", ["PAPER", "TESTNET"])
def test_what_was_held_back_here_blames_no_server(environment: str) -> None:
    held = ExchangeUnavailable(
        "Not sent now: the address's request weight is needed for what protects positions. Try again in 1 s.",
        refusal=Refusal.RATE_WEIGHT,
        wait_ms=1000,
    )
    assert str(plain(environment, held)) == held.message
