"""Let unmodified clients trade on the simulator: ``python tests/contract/clients/run.py CLIENT_PYTHON``.

CLIENT_PYTHON is the interpreter of the contract environment (``make contract-env``). Exit code 0 when every client
completed a whole trio life over real HTTP and WebSocket.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CLIENTS = ("ccxt_life.py", "python_binance_life.py")


def run_one(script: str, interpreter: str) -> bool:
    """A fresh exchange, one client, one life."""
    venue = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--prices", "hand", "--die-with-parent",
         "--account", "contract:contractkey0000:contractsecret0000:10000"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert venue.stdout is not None
        url = venue.stdout.readline().split()[-1]
        print(f"{script} at {url}", flush=True)
        done = subprocess.run(
            [interpreter, str(HERE / script), url, "contractkey0000", "contractsecret0000"],
            timeout=120,
            check=False,
        )
        return done.returncode == 0
    finally:
        venue.terminate()
        venue.wait(timeout=10)


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).exists():
        print(
            "Usage: python tests/contract/clients/run.py CLIENT_PYTHON. Make that interpreter with: make contract-env"
        )
        return 2
    results = {script: run_one(script, sys.argv[1]) for script in CLIENTS}
    for script, fine in results.items():
        print(f"{'ok    ' if fine else 'FAILED'} {script}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
