"""``python -m tests.soak``: live the trios of a seed through real processes and print what came of it."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.crash.stage import ROOT, staged
from tests.soak.plan import FULL, deaths, trio, trios

DECIDING = "its decision raised"  # the mechanism keeps such a trio covered; it is a bug all the same


def main() -> int:
    """Run; 0 when nothing was violated and every floor reached, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seeds", default="1..1", help="which seeds, as 1..4 or 7 (default 1..1)")
    parser.add_argument("--trios", type=int, default=FULL, help="how many trios of each seed (default 5000)")
    parser.add_argument("--only", type=int, help="live this one trio of the seed again, with its fault alone")
    parser.add_argument(
        "--slack", type=int, default=0, help="ms beyond the bound, for a machine busy with other things"
    )
    parser.add_argument(
        "--keep", type=Path, help="keep the processes' logs and the exchange's in this folder"
    )
    options = parser.parse_args()
    seeds = _seeds(parser, options.seeds)
    if options.trios < 1 or (options.only is not None and options.only < 0):
        parser.error("--trios is at least 1, --only at least 0.")
    if len(seeds) > 1:
        return max(_another(seed, options) for seed in seeds)
    with tempfile.TemporaryDirectory(prefix="soak-") as made:
        folder = Path(made)
        if options.keep is not None:
            folder = options.keep
            folder.mkdir(parents=True, exist_ok=True)
        return _soak(seeds[0], options, folder)


def _seeds(parser: argparse.ArgumentParser, text: str) -> list[int]:
    first, _, last = text.partition("..")
    if not first.isdigit() or not (last or first).isdigit():
        parser.error(f"--seeds is a number or a range like 1..4, not {text!r}.")
    found = list(range(int(first), int(last or first) + 1))
    if not found:
        parser.error(f"--seeds {text} holds no seed.")
    return found


def _another(seed: int, options: argparse.Namespace) -> int:
    """Run one of several seeds in a process of its own: database, exchange and crew are fresh each time."""
    words = ["--seeds", str(seed), "--trios", str(options.trios), "--slack", str(options.slack)]
    if options.keep is not None:
        words += ["--keep", str(options.keep / str(seed))]
    return subprocess.run([sys.executable, "-m", "tests.soak", *words], cwd=ROOT, check=False).returncode


def _soak(seed: int, options: argparse.Namespace, folder: Path) -> int:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    alone = options.only is not None
    plan = [trio(seed, options.only)] if alone else trios(seed, options.trios)
    log = folder / "requests.jsonl"
    for old in (log, *folder.glob("*.log")):
        old.unlink(missing_ok=True)
    # The sweep as often as it ships: it is one of the things that must find what nobody told.
    settings = {"SWEEP_SECONDS": "15"}
    with staged(
        folder, nursery=False, exchange=("--log", str(log)), settings=settings, production=True
    ) as stage:
        from tests.soak.run import Run
        from tests.soak.table import missed, summary
        from tests.soak.tell import story

        fates = [] if alone else deaths(seed, options.trios)
        soaked = Run(stage, plan, fates, log=log, slack_ms=options.slack, tell=tell).go()
        stories = [story(soaked, claim, log) for claim, _ in soaked.verdict.unsound[:20]]
        complaints = stage.complaints()
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    for told, (_, found) in zip(stories, soaked.verdict.unsound, strict=False):
        print(f"VIOLATION {json.dumps(asdict(found))}\n{told}")
        print(f"  again: python -m tests.soak --seeds {seed} --only <its number>")
    for line in [*soaked.verdict.left, *soaked.broken]:
        print(f"BESIDE {line}")
    for line in sorted(set(complaints))[:20]:
        print(f"log: {line[:300]} … {line[-500:]}" if len(line) > 800 else f"log: {line}")
    short = [] if alone else missed(soaked, planned=options.trios)
    bugs = [line for line in complaints if DECIDING in line]
    for line in bugs[:5]:
        print(f"A DECISION RAISED {line[:600]}")
    print(f"Seed {seed}")
    print("\n".join(summary(soaked)))
    print(
        f"{'processor time':36} {processor:.0f} s without PostgreSQL; load at the end {os.getloadavg()[0]:.1f}"
    )
    for line in short:
        print(f"TOO LITTLE {line}")
    return 1 if soaked.verdict.violations or soaked.broken or bugs or short else 0


if __name__ == "__main__":
    sys.exit(main())
