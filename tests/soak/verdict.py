"""The judgement over a whole soak, from the exchange's own records. Imports nothing of the product."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.crash.verdict import NAKED_LIMIT_MS, Claim, Judgement, judge

TAKEOVER_MS: Final = 1500
FURTHER_MS: Final = 600
TOO_MANY_REQUESTS, LIMIT_REACHED_MS = -1003, 1000
TIMED: Final = ("reversed", "uncovered", "uncovered_refused_by_us")  # rows that tell when, not whose

Row = Mapping[str, Any]
Slot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A process of ours died at ``start``, or slept from there to ``end``, or our address was ``barred``; exchange ms."""

    start: int
    end: int
    watching: bool  # a runworker: others have to take its accounts over
    barred: bool = False  # nothing could be sent meanwhile

    def touches(self, start: int, end: int) -> bool:
        return self.start <= end and start <= self.end + TAKEOVER_MS


@dataclass(slots=True)
class Verdict:
    """What a soak came to on the exchange."""

    judged: list[tuple[Claim, Judgement]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # what stands, rests or happened beside every trio
    fired: Counter[int] = field(default_factory=Counter)  # by the fault's number
    requests: int = 0

    @property
    def unsound(self) -> list[tuple[Claim, Judgement]]:
        return [(claim, found) for claim, found in self.judged if not found.is_sound]

    @property
    def violations(self) -> int:
        return len(self.unsound) + len(self.left)


def more_ms(troubles: Iterable[Trouble], start: int, end: int) -> int:
    """What the promise allows beyond its bound: a takeover, a ban, and 600 ms for each trouble after the first."""
    met = [trouble for trouble in troubles if trouble.touches(start, end)]
    takeover = TAKEOVER_MS if any(trouble.watching for trouble in met) else 0
    barred = sum(trouble.end - trouble.start for trouble in met if trouble.barred)
    return takeover + barred + FURTHER_MS * max(0, len(met) - 1)


def _barred_ms(troubles: Iterable[Trouble], start: int, end: int) -> int:
    """For how long of a time nothing could be sent, so that nothing could be cancelled either."""
    barred = 0
    for trouble in sorted((trouble for trouble in troubles if trouble.barred), key=lambda met: met.start):
        start = max(start, trouble.start)
        if start < min(end, trouble.end):
            barred += min(end, trouble.end) - start
            start = min(end, trouble.end)
    return barred


def judge_all(
    claims: Sequence[Claim],
    verdict: Row,
    state: Row,
    *,
    log: Iterable[Row] = (),
    orphans: Iterable[Row] = (),
    troubles: Sequence[Trouble] = (),
    bound_ms: int = NAKED_LIMIT_MS,
) -> Verdict:
    """Judge every trio by what its account and symbol saw, and everything that belongs to none of them.

    ``orphans``: as the exchange last showed each of them, also those that were cleared away since.
    """
    log = list(log)
    troubles = [*troubles, *_refused_address(log)]
    found = Verdict()
    asked: dict[str, list[Row]] = defaultdict(list)
    for row in log:
        found.requests += 1
        asked[stem_of(row["client_id"])].append(row)
        if row["fault"].startswith("#"):
            found.fired[int(row["fault"][1:].split()[0])] += 1
    shares: dict[Slot, dict[str, list[Row]]] = defaultdict(_nothing)
    for name in ("entries", *TIMED):
        for row in verdict[name]:
            shares[row["account"], row["symbol"]][name].append(row)
    resting: dict[str, dict[str, list[Row]]] = defaultdict(_nothing)
    for account in state["accounts"]:
        for kind, word in (("orders", "clientOrderId"), ("algo_orders", "clientAlgoId")):
            for order in account[kind]:
                resting[stem_of(order[word])][kind].append(order)
    orphaned: dict[str, list[str]] = defaultdict(list)
    for row in orphans:
        if row["ms"] > row["excusable_ms"] + _barred_ms(troubles, row["since"], row["since"] + row["ms"]):
            orphaned[stem_of(row["client_id"])].append(row["client_id"])
    for claim in claims:
        judged = judge(
            claim,
            shares[claim.account, claim.symbol],
            {"accounts": [{**resting[claim.stem], "name": claim.account}]},
            log=asked[claim.stem],
            orphans=orphaned[claim.stem],
            bound_ms=bound_ms,
            more_ms=partial(more_ms, troubles),
        )
        found.judged.append((claim, judged))
    found.left = [*_standing(verdict), *_beside(claims, shares, resting, orphaned)]
    return found


def _refused_address(log: Iterable[Row]) -> list[Trouble]:
    """A 429 about the address is about every trio: nothing is sent for as long as it asked, one second here."""
    return [
        Trouble(row["ms"], row["ms"] + LIMIT_REACHED_MS, watching=False, barred=True)
        for row in log
        if row.get("status") == 429 and row.get("code") == TOO_MANY_REQUESTS
    ]


def _nothing() -> dict[str, list[Row]]:
    return {name: [] for name in ("entries", "open_positions", *TIMED, "orders", "algo_orders")}


def stem_of(client_id: str) -> str:
    """Return what all orders of one trio have in common."""
    return str(client_id).rpartition("-")[0]


def _standing(verdict: Row) -> list[str]:
    return [f"a position stands at the end: {dict(row)}" for row in verdict["open_positions"]]


def _beside(
    claims: Sequence[Claim],
    shares: Mapping[Slot, Mapping[str, list[Row]]],
    resting: Mapping[str, Mapping[str, list[Row]]],
    orphaned: Mapping[str, list[str]],
) -> list[str]:
    """Tell what no trio accounts for: nothing of the exchange's records may escape the judgement."""
    stems = {claim.stem for claim in claims}
    times: dict[Slot, list[Claim]] = defaultdict(list)
    for claim in claims:
        times[claim.account, claim.symbol].append(claim)
    found = []
    for slot, share in shares.items():
        found += [
            f"executed for no trio: {dict(row)}" for row in share["entries"] if row["stem"] not in stems
        ]
        for name in TIMED:
            for row in share[name]:
                at = row.get("start", row.get("ms", 0))
                if not any(claim.began_ms <= at <= claim.ended_ms for claim in times[slot]):
                    found.append(f"{name} beside every trio: {dict(row)}")
    for stem, rows in resting.items():
        if stem not in stems:
            found += [f"rests for no trio: {dict(row)}" for kind in rows for row in rows[kind]]
    found += [f"orphaned for no trio: {names}" for stem, names in orphaned.items() if stem not in stems]
    return found
