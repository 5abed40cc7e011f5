"""The badge colours of our words, on every page that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from django.utils import timezone

from accounts.badges import ENVIRONMENT_COLOURS
from orders.domain.enums import LegState, TrioState, Verdict

# fmt: off
STATE_COLOURS: Final = {
    TrioState.DRAFT.value:        "default",
    TrioState.QUEUED.value:       "info",
    TrioState.PLACING.value:      "info",
    TrioState.WORKING.value:      "info",
    TrioState.OPEN.value:         "primary",
    TrioState.WITHDRAWING.value:  "warning",
    TrioState.EXITING.value:      "warning",
    TrioState.ROLLING_BACK.value: "warning",
    TrioState.LATE.value:         "danger",
    TrioState.CLOSED.value:       "default",
    TrioState.ROLLED_BACK.value:  "danger",
    TrioState.CANCELLED.value:    "default",
    TrioState.EXPIRED.value:      "default",
    TrioState.REFUSED.value:      "danger",
    TrioState.DRY_RUN.value:      "default",
}
LEG_COLOURS: Final = {
    LegState.PLANNED.value:          "default",
    LegState.SUBMITTED.value:        "info",
    LegState.ACCEPTED.value:         "info",
    LegState.PARTIALLY_FILLED.value: "warning",
    LegState.TRIGGERED.value:        "warning",
    LegState.FILLED.value:           "primary",
    LegState.REJECTED.value:         "danger",
    LegState.WRITTEN_OFF.value:      "danger",
}
VERDICT_COLOURS: Final = {
    Verdict.ACCEPTED.value:     "success",
    Verdict.REFUSED.value:      "danger",
    Verdict.NOT_EXECUTED.value: "warning",
    Verdict.UNKNOWN.value:      "warning",
    Verdict.KEY_REFUSED.value:  "danger",
}
# How a trio ended, where it is not known what it brought: no colour calls that a win.
RESULT_COLOURS: Final = {
    "TAKE_PROFIT": "default", "STOP_LOSS": "warning", "LIQUIDATED": "danger", "UNCOVERED": "danger",
    "ADL": "danger", "SETTLEMENT": "warning", "DELIVERY": "warning", "LEVEL_PASSED": "danger", "OUTSIDE": "warning", "DRIFT": "warning", "LATE": "warning",
}
# fmt: on
# Green and red are for won and lost alone.
SIDE_COLOURS: Final = {"BUY": "info", "SELL": "warning", "LONG": "info", "SHORT": "warning"}
JOB_COLOURS: Final = {"queued": "info", "running": "warning", "done": "success", "unwatched": "danger"}
# Verdicts are apart: an ACCEPTED leg rests, an ACCEPTED request went well.
COLOURS: Final = (
    LEG_COLOURS | RESULT_COLOURS | STATE_COLOURS | SIDE_COLOURS | ENVIRONMENT_COLOURS | JOB_COLOURS
)


def result_colour(result: str, nets: Iterable[Decimal], together: Decimal | None = None) -> str:
    """Return the colour of a result: green for a gain, red for a loss, whatever it is called.

    ``nets``: one for each asset; ``together``: the net in one asset, where it is known. Where assets say different things, neither.
    """
    nets = [together] if together is not None else list(nets)
    if any(net > 0 for net in nets) and all(net >= 0 for net in nets):
        return "success"
    if any(net < 0 for net in nets) and all(net <= 0 for net in nets):
        return "danger"
    return RESULT_COLOURS.get(result, "default")


def utc_text(moment: datetime) -> str:
    """Show a moment in UTC: what stands on hover beside the viewer's own time."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(since: datetime, *, now: datetime | None = None) -> str:
    """Return how long ago something was, in one unit."""
    seconds = max(0, int(((now or timezone.now()) - since).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def lasted(seconds: int) -> str:
    """Return how long something lasted, in its two largest units: “1 h 05 min”."""
    for unit, length, smaller, part in (
        ("d", 86_400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= length:
            return f"{seconds // length} {unit} {seconds % length // part:02d} {smaller}"
    return f"{seconds} s"
