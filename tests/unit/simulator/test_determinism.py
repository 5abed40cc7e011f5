"""Same seed, same log, with faults and however often; over HTTP too, but that is in ``test_process``."""

from __future__ import annotations

from tests.unit.simulator.random_client import run_in_process


def test_the_same_seed_leaves_the_same_log() -> None:
    assert run_in_process(400, 7) == run_in_process(400, 7)
    assert run_in_process(40, 7) != run_in_process(40, 8)
