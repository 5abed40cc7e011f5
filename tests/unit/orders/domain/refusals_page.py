"""The page of refusals, made by asking: each code is answered to each kind of order, and what is decided is written down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final

from exchange.binance.errors import KINDS, Kind, classify, refusal_of
from exchange.errors import CredentialsRefused, ExchangeError, ExchangeUnavailable, OutcomeUnknown
from exchange.refusals import RESTRICTIONS, SENTENCES, Refusal
from orders.domain.decision.decide import Decision, decide
from orders.domain.decision.steps import AskPerson, Exit, Observe, Rest, Submit
from orders.domain.enums import Form, LegState, Role, TrioState
from orders.domain.snapshot import LegView, TrioSnapshot
from tests.unit.orders.domain.snapshots import NOW_TS, entry, exit_order, holding, stop, target, trio

PAGE: Final = "docs/reference/refusals.md"
CHECKOUT: Final = Path(__file__).parents[4]
UNLISTED: Final = -9999
HEAD: Final = """# Refusals

Every code of the exchange that is known here: what it means, what is done when it answers an entry, a stop, a target, an exit or a cancel, and what a person
reads beside the exchange's own words. A stop, target, exit or cancel here is one of an open position; with nothing filled a refused leg takes the trio back. The
page is made by asking the code that decides: `.venv/bin/python -m tests.unit.orders.domain.refusals_page`.

* *again*: under the same id after a pause (200 ms, or what the exchange asks for), stops and exits within the time the position may be uncovered.
* *again, asks*: what protects goes out every five seconds all the same, a person is asked, nothing new is opened.
* *looked up*: its fate is unknown; it is found, or proved absent, before anything else.
* An exit that is refused goes out again with growing pauses (200 ms to 5 s); after the third a person is asked.
* With HTTP 429 and 418 an answer is a limit, whatever its code; with 5xx its fate is unknown.

| codes | meaning | entry | stop | target | exit | cancel | in words |
|---|---|---|---|---|---|---|---|
"""
OPEN: Final = (entry(), stop(), target())


def row_of(code: int) -> tuple[str, ...]:
    """Return the cells of a code, without the code."""
    refusal, kind = refusal_of(code), classify(400, code)
    done = (entry_done(code, kind), stop_done(code, kind), target_done(code, kind), exit_done(code, kind))
    return refusal.value, *done, cancel_done(refusal, kind), SENTENCES[refusal]


def entry_done(code: int, kind: type[ExchangeError]) -> str:
    if kind is OutcomeUnknown:
        return "looked up, never sent twice"
    if kind is ExchangeUnavailable:
        return "again, until `place_before`"
    decision = decide(trio(TrioState.PLACING, refused(entry(LegState.SUBMITTED), code)))
    done = "rolled back" if decision.trio.state is TrioState.ROLLING_BACK else decision.trio.state.value
    return f"{done}; no entry of the account" if refusal_of(code) in RESTRICTIONS else done


def stop_done(code: int, kind: type[ExchangeError]) -> str:
    if kind is OutcomeUnknown:
        return "looked up once, then a second one"
    if kind in (ExchangeUnavailable, CredentialsRefused):
        return "again, asks" if kind is CredentialsRefused else "again"
    first = refused(stop(LegState.SUBMITTED), code)
    once = decide(opened(first))
    other = replace(first, client_id="test-1-s2", generation=2, form=Form.QUANTITY)
    return f"{step_words(once)}; then {step_words(decide(opened(first, other)))}"


def target_done(code: int, kind: type[ExchangeError]) -> str:
    if kind is OutcomeUnknown:
        return "looked up; the stop stays"
    if kind in (ExchangeUnavailable, CredentialsRefused):
        return "again, asks" if kind is CredentialsRefused else "again"
    earlier = target(LegState.CANCELLED, acknowledged=True)
    newest = replace(refused(target(LegState.SUBMITTED), code), client_id="test-1-t2", generation=2)
    return step_words(decide(opened(stop(), earlier, newest)))


def exit_done(code: int, kind: type[ExchangeError]) -> str:
    if kind is OutcomeUnknown:
        return "position read, again"
    if kind in (ExchangeUnavailable, CredentialsRefused):
        return "again, asks" if kind is CredentialsRefused else "again"
    newest = refused(exit_order(LegState.SUBMITTED), code)
    return step_words(
        decide(trio(TrioState.EXITING, entry(), stop(), newest, slot=holding(as_of=NOW_TS - 10)))
    )


def cancel_done(refusal: Refusal, kind: type[ExchangeError]) -> str:
    if kind is ExchangeUnavailable:
        return "again"
    return "again every 5 s" if kind is CredentialsRefused else "order read, again if it rests"


def opened(*legs: LegView) -> TrioSnapshot:
    return trio(TrioState.OPEN, entry(), *legs, slot=holding(as_of=NOW_TS - 10))


def refused(leg: LegView, code: int) -> LegView:
    return replace(
        leg,
        state=LegState.REJECTED,
        refusal=refusal_of(code),
        refused_code=code,
        refused_text="No.",
        submitted_ts=NOW_TS - 900,
        ended_ts=NOW_TS - 800,
    )


def step_words(decision: Decision) -> str:
    """Say in a few words what a decision comes to."""
    state = decision.trio.state
    match decision.step:
        case AskPerson(question):
            return (
                "a person is asked"
                if question.kind.value != "DUST"
                else "kept under its stop, a person is asked"
            )
        case Exit():
            return "again" if any(leg.role is Role.EXIT for leg in decision.trio.legs) else "closed at market"
        case Submit((plan, *_)):
            if plan.role is Role.STOP_LOSS:
                return "the other form" if plan.form is Form.QUANTITY else "a new one"
            return "a new one"
        case Observe():
            return "position read"
        case Rest():
            return "stands without it" if state is TrioState.OPEN else "waits"
        case step:
            return type(step).__name__.lower()


def codes_listed() -> list[int]:
    """Return every code of the table, in its order."""
    return list(KINDS)


def rows() -> Iterator[str]:
    of_table = [(row_of(code), code) for code in codes_listed()]
    for cells, group in groupby(of_table, key=lambda pair: pair[0]):
        yield _row(_codes(code for _, code in group), cells)
    yield _row("any other", row_of(UNLISTED))


def _row(codes: str, cells: Iterable[str]) -> str:
    return f"| {codes} | {' | '.join(cells)} |\n"


def _codes(codes: Iterable[int]) -> str:
    return ", ".join(str(code) for code in sorted(codes, reverse=True))


def page() -> str:
    """Return the page as it should be."""
    assert Kind.REFUSED
    return HEAD + "".join(rows())


if __name__ == "__main__":
    (CHECKOUT / PAGE).write_text(page())
