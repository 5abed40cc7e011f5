"""The badge colours of our words, on every page that shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.utils import timezone

from accounts.badges import ENVIRONMENT_COLOURS
from orders.domain.enums import LegState, TrioState, Verdict

# fmt: off
STATE_COLOURS: Final = {
    TrioState.DRAFT.value:        "default",
    TrioState.QUEUED.value:       "info",
    TrioState.PLACING.value:      "info",
    TrioState.WORKING.value:      "primary",
    TrioState.OPEN.value:         "success",
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
    LegState.ACCEPTED.value:         "primary",
    LegState.PARTIALLY_FILLED.value: "warning",
    LegState.TRIGGERED.value:        "warning",
    LegState.FILLED.value:           "success",
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
RESULT_COLOURS: Final = {
    "TAKE_PROFIT": "success", "STOP_LOSS": "danger", "LIQUIDATED": "danger", "UNCOVERED": "danger",
    "ADL": "danger", "SETTLEMENT": "warning", "DELIVERY": "warning", "LEVEL_PASSED": "danger", "OUTSIDE": "warning", "LATE": "warning",
}
# fmt: on
SIDE_COLOURS: Final = {"BUY": "success", "SELL": "danger", "LONG": "success", "SHORT": "danger"}
JOB_COLOURS: Final = {"queued": "info", "running": "warning", "done": "success", "unwatched": "danger"}
# Verdicts are apart: an ACCEPTED leg rests, an ACCEPTED request went well.
COLOURS: Final = (
    LEG_COLOURS | RESULT_COLOURS | STATE_COLOURS | SIDE_COLOURS | ENVIRONMENT_COLOURS | JOB_COLOURS
)


def age(since: datetime, *, now: datetime | None = None) -> str:
    """Return how long ago something was, in one unit."""
    seconds = max(0, int(((now or timezone.now()) - since).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
