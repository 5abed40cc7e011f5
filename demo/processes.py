"""The real processes of a small installation, under a supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local_servers import leftovers, manager, pidfiles


class DemoProcesses:
    """Simulator, workers and web, started under a supervisor and stopped with the demo."""

    def __init__(self) -> None:
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """End what an earlier run left, then start everything."""
        leftovers.end_all()
        logs = manager.run_dir() / "logs"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (logs / "supervisord.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "local_servers.serve", "supervisord"],
                cwd=Path(manager.CHECKOUT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                preexec_fn=pidfiles.die_with_parent,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            )

    @property
    def alive(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def stop(self) -> None:
        """Stop every process in order."""
        if self._supervisor is not None:
            self._supervisor.terminate()
            try:
                self._supervisor.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()
                self._supervisor.wait()
        leftovers.end_all()
