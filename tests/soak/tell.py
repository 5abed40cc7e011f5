"""The story of a trio that was not sound, for who has to find out why."""

from __future__ import annotations

import json
from pathlib import Path

from orders.models import TrioEvent
from tests.crash.verdict import Claim
from tests.soak.run import Soaked


def story(soaked: Soaked, claim: Claim, log: Path) -> str:
    """Tell what it was, what our journal says, and what the exchange was asked for it."""
    life = next(one for one in soaked.lives if one.trio_id and one.stem == claim.stem)
    lines = [f"  {life.plan}", f"  {claim.account} {claim.symbol} {claim.stem}, hurried: {life.hurried}"]
    for event in TrioEvent.objects.filter(trio_id=life.trio_id).order_by("pk"):
        lines.append(f"  {event.at:%M:%S.%f} {event.text}")
    for line in log.open(encoding="utf-8"):
        if f'"{claim.stem}-' in line:
            row = json.loads(line)
            words = "{ms} {method} {path} {client_id} {effect} {status} {code} {fault}".format(**row)
            lines.append(f"  {words}")
    return "\n".join(lines)
