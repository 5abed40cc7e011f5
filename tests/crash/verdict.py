"""The judgement over a cell, from the exchange's own records. Imports nothing of the product.

``Claim`` is what the books say; it is only ever compared with the exchange, never believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

NAKED_LIMIT_MS: Final = 2000
RETRY_MS: Final = 250
ORPHAN_MS: Final = 5000
COVERS: Final = "sx"  # what ends an uncovered time: a stop, or the exit


@dataclass(frozen=True, slots=True)
class Claim:
    """What the books say came of a trio, in plain values."""

    account: str
    symbol: str
    stem: str
    quantity: Decimal
    state: str
    entered: Decimal
    exited: Decimal
    over: bool
    entries: int = 1  # with what was added
    began_ms: int = 0
    ended_ms: int = 1 << 60  # another life may use the same account and symbol after this one


@dataclass(slots=True)
class Judgement:
    """What a cell came to, on the exchange."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    naked_ms: int = 0  # while the exchange refused and lost nothing that protects
    excused_ms: int = 0  # while it did
    since_refusal_ms: int = 0  # the part of it after the last refusal
    late_retry_ms: int = 0  # the part of it after a stop or exit was taken
    over_ms: int = 0  # the most by which any of them passed its bound

    @property
    def is_over_bound(self) -> bool:
        return self.over_ms > 0

    @property
    def is_sound(self) -> bool:
        late = self.late_retry_ms > RETRY_MS
        return not (self.lost or self.doubled or self.orphaned or self.is_over_bound or late)


def judge(
    claim: Claim,
    verdict: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    log: Sequence[Mapping[str, Any]] = (),
    orphans: Iterable[str] = (),
    bound_ms: int = NAKED_LIMIT_MS,
    more_ms: Callable[[int, int], int] = lambda start, end: 0,
) -> Judgement:
    """Judge one trio. ``log``: its account's requests; ``orphans``: what any earlier look found orphaned.

    ``more_ms``: what the bound allows more between two times, because of who died then.
    """
    found = Judgement()

    def mine(row: Mapping[str, Any]) -> bool:
        return (row["account"], row["symbol"]) == (claim.account, claim.symbol)

    def meanwhile(row: Mapping[str, Any]) -> bool:
        return mine(row) and claim.began_ms <= row.get("start", row.get("ms", 0)) <= claim.ended_ms

    rows = [row for row in verdict["entries"] if mine(row) and row["stem"] == claim.stem]
    entered = sum((Decimal(row["entered"]) for row in rows), Decimal(0))
    exited = sum((Decimal(row["exited"]) for row in rows), Decimal(0))
    entries = sum(row["orders"] for row in rows)
    if (entered, exited) != (claim.entered, claim.exited):
        found.lost.append(
            f"the exchange executed {entered} in and {exited} out, the books say {claim.entered} and {claim.exited}"
        )
    if not claim.over:
        found.lost.append(f"it never came to an end ({claim.state})")
    for row in filter(mine, verdict["open_positions"]):
        found.lost.append(f"a position of {row['quantity']} stands at the end")
    account = next(row for row in state["accounts"] if row["name"] == claim.account)
    for order in account["orders"]:
        if order["symbol"] == claim.symbol:
            found.lost.append(f"{order['clientOrderId']} rests at the end")
    if entered > claim.quantity:
        found.doubled.append(f"{entered} was entered, {claim.quantity} was planned")
    if entries > claim.entries:
        found.doubled.append(f"{entries} entries reached the exchange")
    found.doubled += [f"the position was reversed: {row}" for row in filter(meanwhile, verdict["reversed"])]
    resting = {order["clientAlgoId"] for order in account["algo_orders"] if order["symbol"] == claim.symbol}
    old = {name for name in orphans if name.rpartition("-")[0] == claim.stem}
    found.orphaned = sorted(resting | old)
    for gap in filter(meanwhile, verdict["uncovered"]):
        found.naked_ms = max(found.naked_ms, gap["ms"])
        found.over_ms = max(
            found.over_ms, gap["ms"] - bound_ms - more_ms(gap["start"], gap["start"] + gap["ms"])
        )
    for gap in filter(meanwhile, verdict["uncovered_refused_by_us"]):
        found.excused_ms = max(found.excused_ms, gap["ms"])
        refused = max(int(text.split()[0]) for text in gap["refusals"])
        end = gap["start"] + gap["ms"]
        found.since_refusal_ms = max(found.since_refusal_ms, end - refused)
        found.over_ms = max(found.over_ms, end - refused - bound_ms - more_ms(refused, end))
        taken = [row["ms"] for row in log if row["ms"] >= refused and _covers(row, claim.stem)]
        if taken and min(taken) < end:
            found.late_retry_ms = max(found.late_retry_ms, end - min(taken))
    return found


def _covers(row: Mapping[str, Any], stem: str) -> bool:
    mine, _, role = row["client_id"].rpartition("-")
    if row["method"] != "POST" or row["effect"] not in ("executed", "lost_answer"):
        return False
    return bool(mine == stem and role[:1] in COVERS)
