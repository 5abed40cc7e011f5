"""A simulator in a process of its own, on a free loopback port."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from tests.unit.simulator.support import KEY, SECRET, Refused

ROOT = Path(__file__).resolve().parents[3]


class Venue:
    """Starts, kills and ends one simulator process by its id, and speaks HTTP to it."""

    def __init__(self, *options: str, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--port", str(port), "--die-with-parent", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise RuntimeError(self.process.stderr.read())
        self.url = line.split()[-1]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-MBX-APIKEY"] = KEY

    def now(self) -> int:
        return int(self.session.get(f"{self.url}/fapi/v1/time").json()["serverTime"])

    def signed(self, path: str, secret: str = SECRET, stamp: int | None = None, **params: Any) -> str:
        query = urlencode({**params, "timestamp": stamp if stamp is not None else int(time.time() * 1000)})
        return f"{self.url}{path}?{query}&signature={hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"

    def ask(self, method: str, path: str, **params: Any) -> Any:
        """A signed request; raises Refused."""
        answer = self.session.request(method, self.signed(path, **params), timeout=20)
        if answer.status_code != 200:
            raise Refused(answer.status_code, answer.json())
        return answer.json()

    def sim(self, method: str, path: str, body: Any = None) -> Any:
        return self.control(method, path, body)[1]

    def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and what was answered at the control door."""
        answer = self.session.request(method, f"{self.url}/sim/{path}", data=json.dumps(body), timeout=20)
        return answer.status_code, answer.json()

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def end(self) -> int:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(timeout=20)
        self.session.close()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code
