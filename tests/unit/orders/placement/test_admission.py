"""Admission: how many trios may be in the air, learned from how late their cover comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from orders.placement import admission
from orders.placement.admission import START, Admission, admit, admit_each, leave

BOUND_MS = 2000
BEGAN = 1_790_000_000_000


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    admission.forget()
    yield
    admission.forget()


def test_only_so_many_are_admitted_and_each_account_its_part() -> None:
    wanted = [(trio, 1 + trio % 2) for trio in range(10)]
    answers = admit_each(wanted)
    assert answers.count(Admission.ADMITTED) == START
    assert admit_each([(100 + trio, 7) for trio in range(10)]).count(Admission.ADMITTED) == 0
    admission.forget()
    assert admit_each([(trio, 7) for trio in range(10)]).count(Admission.ADMITTED) == -(-START // 2)


def test_a_place_is_kept_and_given_back() -> None:
    assert admit(1, 1) is Admission.ADMITTED
    assert admit(1, 1) is Admission.IN_AIR
    assert admit(2, 2) is Admission.ADMITTED
    assert admit(3, 3) is Admission.ADMITTED
    assert admit(4, 4) is Admission.FULL
    leave(1, None)
    assert admit(4, 4) is Admission.ADMITTED


def test_a_process_that_died_gives_its_places_back_by_time() -> None:
    admit_each([(1, 1), (2, 2)], now=BEGAN)
    assert admit_each([(3, 3)], now=BEGAN + BOUND_MS) == [
        Admission.FULL
    ]  # they may be uncovered: nobody goes
    assert admit_each([(3, 3)], now=BEGAN + 3 * BOUND_MS) == [Admission.ADMITTED]


def test_a_place_that_nobody_carries_is_free_by_time_however_often_it_is_asked_for() -> None:
    # Given a place whose holder never heard of it: Valkey was stopped, and answered when nobody listened any more
    admit_each([(1, 1)], now=BEGAN)

    # When every poll of every process asks for the same trio
    polled = [admit_each([(1, 1)], now=BEGAN + ms)[0] for ms in range(250, 3 * BOUND_MS, 250)]

    # Then it gets its place once the first one's time is over
    assert set(polled) == {Admission.IN_AIR}
    assert admit_each([(1, 1)], now=BEGAN + 3 * BOUND_MS) == [Admission.ADMITTED]
    # Who carries it keeps it
    assert admit_each([(1, 1)], keeps=True, now=BEGAN + 5 * BOUND_MS) == [Admission.IN_AIR]
    assert admit_each([(1, 1)], now=BEGAN + 7 * BOUND_MS) == [Admission.IN_AIR]


def test_nobody_is_admitted_while_something_in_the_air_is_overdue() -> None:
    admit_each([(1, 1)], now=BEGAN)
    assert admit_each([(2, 2)], now=BEGAN + 400) == [Admission.ADMITTED]
    assert admit_each([(3, 3)], now=BEGAN + 600) == [Admission.FULL]
    leave(1, 300, now=BEGAN + 601)
    assert admit_each([(3, 3)], now=BEGAN + 602) == [Admission.ADMITTED]


def test_room_nobody_asked_for_does_not_grow() -> None:
    for trio in range(50):
        admit_each([(trio, trio)], now=BEGAN + trio)
        leave(trio, 0, now=BEGAN + trio)
    assert admission.room() == START


def test_late_cover_halves_once_for_all_that_was_sent_before() -> None:
    admit_each([(trio, trio) for trio in range(START + 1)], now=BEGAN)
    for trio in range(START):
        leave(trio, BOUND_MS, now=BEGAN + 10 + trio)
    assert admission.room() == START // 2


def test_without_an_answer_nobody_is_admitted() -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert admit(1, 1) is Admission.UNANSWERED
        leave(1, 5)  # is not raised either


@dataclass
class Machine:
    """A machine that needs ``ms_each`` to protect one trio, one after the other, and ``idle_ms`` for none."""

    ms_each: int
    waiting: list[int]
    now: int = BEGAN
    in_air: list[tuple[int, int]] = field(default_factory=list)  # (trio, filled at)
    most: list[tuple[int, int]] = field(default_factory=list)  # (admission began, how long it was naked)

    def run(self) -> None:
        """Admit whenever possible; protect one by one."""
        while self.waiting or self.in_air:
            asked = [(trio, trio) for trio in self.waiting[:64]]
            for (trio, _), answer in zip(
                asked, admit_each(asked, now=self.now) if asked else [], strict=True
            ):
                if answer is Admission.ADMITTED:
                    self.waiting.remove(trio)
                    self.in_air.append((trio, self.now))
            if not self.in_air:
                self.now += 20
                continue
            trio, filled_at = self.in_air.pop(0)
            self.now += self.ms_each
            self.most.append((filled_at, self.now - filled_at))
            leave(trio, self.now - filled_at, now=self.now)


@tried(max_examples=40, deadline=None)
@given(ms_each=st.integers(1, 2000), trios=st.integers(1, 120))
def test_on_a_machine_of_any_speed_cover_comes_in_time_and_all_are_placed(ms_each: int, trios: int) -> None:
    admission.forget()
    machine = Machine(ms_each, list(range(trios)))
    machine.run()
    assert len(machine.most) == trios
    naked = [ms for _, ms in machine.most]
    # What was sent before anything was known is one step: START at most. After it none but the slowest machine,
    # for which one trio takes all the time there is, comes near the bound.
    assert max(naked[:START]) <= START * ms_each
    assert max(naked[START:], default=0) <= max(ms_each, BOUND_MS // 2), naked
