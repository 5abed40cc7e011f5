"""A short run of the fuzz; the long one is ``python -m tests.contract.fuzz 100000``."""

from __future__ import annotations

from tests.contract.fuzz import Fuzzer


def test_nonsense_of_every_kind_gets_a_code_and_never_a_five_hundred() -> None:
    fuzzer = Fuzzer(seed=20)
    for _ in range(4000):
        fuzzer.one()
    assert not [status for status in fuzzer.statuses if status >= 500]
    assert fuzzer.statuses[200] > 100, "some of it must make sense, or nothing was tried"
    assert len(fuzzer.codes) > 20
    assert fuzzer.slowest < 2
