"""The sending process as seen from outside: asked once, within a deadline, and ended whatever it does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Final

from exchange.secret import Secret, revealed
from notices.domain.failures import Failure, FailureKind

CHECKOUT: Final = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS: Final = 30.0
ANSWER_BYTES_MAX: Final = 4096
MAIN: Final = "import sys; sys.path.insert(0, sys.argv[1]); from notices.sender.child import main; main()"


class Sender:
    """Sends messages, each by a process of its own. May be used by several threads at once."""

    def __init__(self, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def send(self, url: Secret, *, title: str, body: str, also: Collection[str] = ()) -> Failure | None:
        """Send one message; return why it failed, nothing when it was taken.

        ``also``: networks that are allowed although private; none, but for tests.
        """
        asked = {"url": revealed(url), "title": title, "body": body, "also": list(also)}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-I", "-B", "-c", MAIN, str(CHECKOUT)],
            stdin=subprocess.PIPE,  # the URL goes in here: arguments and environments are for anybody to see
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )
        with self._lock:
            self._running.add(process)
            stopped = self._stopped
        try:
            if stopped:
                return Failure(FailureKind.ENDED)
            said, _ = process.communicate(json.dumps(asked).encode() + b"\n", timeout=self._deadline_seconds)
        except subprocess.TimeoutExpired:
            return Failure(FailureKind.TIMED_OUT, {"seconds": round(self._deadline_seconds)})
        except OSError:
            return Failure(FailureKind.ENDED)
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
        return _read(said)

    def stop(self) -> None:
        """End what is being sent: it is sent again by whoever comes next."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _kill(process)


def _read(said: bytes) -> Failure | None:
    """Read the answer. Whatever else a process says is no answer."""
    try:
        answer = json.loads(said[:ANSWER_BYTES_MAX])
        if answer == {}:
            return None
        return Failure(FailureKind(answer["failure"]), dict(answer["facts"]))
    except (ValueError, KeyError, TypeError):
        return Failure(FailureKind.ENDED)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
