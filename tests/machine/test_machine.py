"""Any order of trouble, on the real service: what the exchange saw stays right, and everything ends.

``MACHINE=long`` looks longer and shrinks what it finds; ``MACHINE_EXAMPLES=n`` says for how many lives.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import ENDED, Machine

LONG = os.environ.get("MACHINE") == "long"
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "300" if LONG else "25"))
SEARCH = (Phase.explicit, Phase.generate, *((Phase.shrink,) if LONG else ()))


@pytest.fixture(autouse=True)
def _impatient(settings: Any) -> None:
    """Shorter times, so that what takes time takes little of it. The bounds on cover are as shipped."""
    settings.PROTECT_TIMEOUT_MS = 120
    settings.ABSENCE_MARGIN_MS = 100
    settings.RECV_WINDOW_MS = 400


def test_whatever_happens_nothing_is_lost_doubled_or_left(transactional_db: None) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60 if LONG else 25,
            deadline=None,
            derandomize=not LONG,
            print_blob=True,
            database=None,
            phases=SEARCH,
            verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(ENDED.most_common()))
    deaths = {name for name in ENDED if name.startswith("died")}
    faults = {name for name in ENDED if name.startswith("met")}
    assert len(deaths) >= 3, ENDED
    assert len(faults) >= 5, ENDED
    assert len(set(ENDED) - deaths - faults) >= 3, ENDED
