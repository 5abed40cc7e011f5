"""The page of drift policies, made from the responses that may be chosen. ``python -m`` this module writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orders.domain.drift import ALLOWED, Drift

CHECKOUT: Final = Path(__file__).resolve().parents[4]
PAGE: Final = "docs/reference/drift-policy.md"
HEAD: Final = """# Drift policy

What is done when somebody acts on the exchange beside us, in its app say, while a trio is open. For each act one response holds: the trio's own choice, else its
account's, else the first of the table, which is what is safe. No response leaves a position without a stop-loss, and cover comes before all of them.
[How to choose](../how-to/manage-an-open-trio.md#choose-what-happens-when-somebody-acts-outside). Why so: [0045](../decisions/0045-drift-has-a-policy.md). This page is made by `.venv/bin/python -m tests.unit.orders.domain.drift_page`; each row is a test
(`tests/unit/orders/placement/test_drift.py`).

| when | response | what happens | notice |
|---|---|---|---|
"""
TAIL: Final = """
## At other moments

The table is about a trio that is OPEN.

| when | before a fill | on the way out |
|---|---|---|
| our stop is cancelled | a stop that waits for the entry: the entry is withdrawn, ROLLED_BACK. There is no other one before a fill | the exit goes on; a new stop goes out only where a rest cannot be closed |
| the position is reduced, increased or closed | a position in the slot counts as the entry's fill, and is covered | the exit is for what is there |
| leverage, margin or position mode is changed | ASK: asked. CLOSE: what rests is withdrawn, CANCELLED | the exit goes on |
| other orders are placed in our slot | left alone until the trio is OPEN; a trio that waits in QUEUED is refused | left alone |

## What counts

* *Our stop is cancelled* when no stop of ours rests or is on its way, and the last that did was cancelled without a request of ours. A stop that we move leaves only
  when the next one stands. A *target* that somebody cancels is placed again, whatever the policy.
* *Reduced* is said two seconds after the exchange shows less than our orders left open, when no order of ours can have done it: the fill of a target may be reported
  later than the position that it left. What the exchange closed itself (liquidation, auto-deleveraging) is no drift.
* *Increased* is said when the position is larger than all that the entry can have filled. Once an order of ours has closed part of it, an increase is covered, but no
  longer told apart.
* *Other orders in our slot* are found by the sweeps, and soon after an event shows one. Those that a person chose to leave when adopting, or in an answer, are known.
* What a person has answered sticks: a policy chosen later does not close what was left as it is.
"""


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_rows()) + "\n" + TAIL


def _rows() -> Iterator[str]:
    for drift in Drift:
        for place, allowed in enumerate(ALLOWED[drift]):
            only = "" if drift.has_choice else " (no choice)"
            first = " (as it is without a choice)" if drift.has_choice and place == 0 else only
            when = drift.words if place == 0 else ""
            yield f"| {when} | `{allowed.response}`{first} | {allowed.happens} | {allowed.notice} |"


if __name__ == "__main__":
    (CHECKOUT / PAGE).write_text(page())
