"""Which strategies there are: those that the settings name, and those of installed packages. Nothing else can be run.

Their code is loaded in processes of its own alone, also to read which parameters it takes.
"""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from typing import Final

from django.conf import settings

from signals.domain.faults import Fault, StrategyFailed
from signals.strategies.process import Bounds, StrategyProcess
from signals.strategies.schema import ParameterSpec

ENTRY_POINTS: Final = "trio_strategies"


def strategies_known() -> dict[str, str]:
    """Return every strategy's path (``module:Class``) by its name. What the settings name comes first."""
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**installed, **settings.STRATEGIES}


def path_of(code: str) -> str:
    """Return the path of a strategy. Raises StrategyFailed when there is none of this name."""
    path = strategies_known().get(code)
    if path is None:
        raise StrategyFailed(Fault.UNKNOWN, code)
    return path


def parameters_of(code: str) -> list[ParameterSpec]:
    """Return the parameters that a strategy takes. Raises StrategyFailed when its code cannot be loaded."""
    return list(_parameters(path_of(code)))


@functools.lru_cache(maxsize=64)
def _parameters(path: str) -> tuple[ParameterSpec, ...]:
    process = StrategyProcess(path, Bounds())
    try:
        return tuple(process.describe())
    finally:
        process.close()
