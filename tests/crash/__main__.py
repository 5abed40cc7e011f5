"""``python -m tests.crash``: run the crash matrix and print what came of it."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.cells import AXES, all_pairs, cover, pairs, product
from tests.crash.stage import staged


def main() -> int:
    """Run; 0 when every cell was sound, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--cells", type=int, default=500, help="how many cells (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="which cover (default 1)")
    parser.add_argument("--all", action="store_true", help="the full product")
    parser.add_argument("--lanes", type=int, default=8, help="how many at a time (default 8)")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no cell after so long")
    parser.add_argument("--reap", type=float, default=0, help="kill a runworker too, every so many seconds")
    parser.add_argument(
        "--slack", type=int, default=0, help="ms beyond the bound, for a machine busy with other things"
    )
    parser.add_argument("--table", type=Path, help="write the table here")
    parser.add_argument(
        "--match",
        default="",
        help="only cells whose name contains this, as many as --cells; an unsound cell lives again by its name",
    )
    options = parser.parse_args()
    cells = list(product()) if options.all else cover(options.cells, seed=options.seed)
    if options.match:
        cells = [cell for cell in product() if options.match in str(cell)]
        cells = random.Random(options.seed).sample(cells, min(options.cells, len(cells)))
    covered = {pair for cell in cells for pair in pairs(cell)}
    print(f"The full product has {len(product())} cells; this run takes {len(cells)} of them (seed {options.seed}), "
          f"with {len(covered)} of {len(all_pairs())} pairs of values.", flush=True)  # fmt: skip
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="crash-") as folder, staged(Path(folder)) as stage:
        from tests.crash.run import Run
        from tests.crash.table import page, summary

        matrix = Run(
            stage,
            cells,
            lanes=options.lanes,
            tell=tell,
            seconds=options.seconds,
            reap=options.reap,
            slack_ms=options.slack,
        ).go()
        complaints = stage.complaints()
    for lived, found in matrix.unsound:
        print(
            f"UNSOUND {lived.cell}\n  {lived.claim.account} {lived.claim.symbol}: {json.dumps(_words(found))}"
        )
        print(lived.story)
        for row in lived.log:
            print("  {ms} {method} {client_id} {effect} {code} {fault}".format(**row))
        if lived.woken_ms:
            print(f"  woken at {lived.woken_ms}")
    for lived in matrix.idle:
        print(f"did not happen (hit {lived.hit}, fault {lived.fired}): {lived.cell} → {lived.result}")
    for line in sorted(set(complaints))[:20]:
        print(f"log: {line}")
    print("\n".join(summary(matrix)))
    if options.table is not None:
        options.table.write_text(page(matrix, cells=len(cells), seed=options.seed, axes=AXES))
    return 1 if matrix.unsound or matrix.broken else 0


def _words(found: object) -> dict[str, object]:
    return {name: getattr(found, name) for name in found.__class__.__dataclass_fields__}  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
