"""The soak in words: what was lived, what was met, what came of it."""

from __future__ import annotations

from tests.soak.plan import ABSENCES, ACTS, EACH_KIND, KILLS, KINDS, SHARE, floor
from tests.soak.run import Soaked


def missed(soaked: Soaked, *, planned: int) -> list[str]:
    """Say which floors were not reached: a soak that met too little proves too little."""
    trios = len(soaked.lives)
    found = []
    if trios < planned:
        found.append(f"{trios} of {planned} trios were lived")
    if sum(soaked.met.values()) * 100 < SHARE * trios:
        found.append(f"{sum(soaked.met.values())} of {trios} trios met a fault; {SHARE} % are asked for")
    for kind in KINDS:
        if soaked.struck[kind] < floor(EACH_KIND, planned):
            found.append(
                f"“{kind}” struck {soaked.struck[kind]} times; {floor(EACH_KIND, planned)} are asked for"
            )
    for act in ACTS:
        done = sum(life.acted == act for life in soaked.lives)
        if done < floor(EACH_KIND, planned):
            found.append(f"“{act}” happened {done} times; {floor(EACH_KIND, planned)} are asked for")
    kills = sum(count for what, count in soaked.troubles.items() if what.startswith("kill"))
    if kills < floor(KILLS, planned):
        found.append(f"{kills} kills; {floor(KILLS, planned)} are asked for")
    if soaked.absences < floor(ABSENCES, planned):
        found.append(f"{soaked.absences} absences proved; {floor(ABSENCES, planned)} are asked for")
    return found


def summary(soaked: Soaked) -> list[str]:
    """The table at the end."""
    verdict, trios = soaked.verdict, len(soaked.lives)
    judged = [found for _, found in verdict.judged]
    lost, doubled, orphaned, over = (
        sum(bool(getattr(found, what)) for found in judged)
        for what in ("lost", "doubled", "orphaned", "is_over_bound")
    )
    met = sum(soaked.met.values())
    rows = [
        ("trios", f"{trios} in {soaked.seconds:.0f} s, at most {soaked.most} side by side"),
        ("ends", ", ".join(f"{end} {count}" for end, count in soaked.ends.most_common())),
        ("met a fault", f"{met} ({100 * met // max(1, trios)} %)"),
        *((f"  {kind}", str(soaked.struck[kind])) for kind in KINDS),
        ("acts", ", ".join(f"{act} {sum(life.acted == act for life in soaked.lives)}" for act in ACTS)),
        ("deaths", ", ".join(f"{what} {count}" for what, count in sorted(soaked.troubles.items()))),
        ("absences proved", str(soaked.absences)),
        ("closed by hand after a long wait", str(sum(life.hurried for life in soaked.lives))),
        ("requests", str(verdict.requests)),
        ("questions left", str(soaked.asked)),
        ("refused at the door", ", ".join(f"{n} × {text}" for text, n in soaked.refusals.most_common(3)) or "0"),
        ("longest uncovered", f"{max((found.naked_ms for found in judged), default=0)} ms"),
        ("… while refused", f"{max((found.excused_ms for found in judged), default=0)} ms, "
         f"{max((found.since_refusal_ms for found in judged), default=0)} ms of it after the last refusal"),
        ("violations", f"{verdict.violations}: {lost} lost, {doubled} doubled, {orphaned} orphaned, "
         f"{over} over the bound, {len(verdict.left)} beside every trio"),
    ]  # fmt: skip
    return [f"{name:36} {words}" for name, words in rows]
