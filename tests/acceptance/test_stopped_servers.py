"""Each server stopped under open trios: every face answers in time and names it, and afterwards everything goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import ROOT

OURS = ("TRIO_RUN_DIR", "REDIS_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE")
WORDS = ("--seconds", "8", "--trios", "4", "--accounts", "2", "--lost", "1")


def test_whoever_is_stopped_is_named_in_time_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OURS}

    done = subprocess.run(
        [sys.executable, "-m", "tests.load", "stopped-servers", *WORDS, "--keep", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
