"""The simulator in place of the network, under a ``requests`` session: real signing, no sockets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from simulator.clock import wall_clock
from simulator.simulator import Simulator
from simulator.venue.reply import Reply


class InProcessAdapter(BaseAdapter):
    """Mount on a session: ``session.mount("http://simulator.invalid", InProcessAdapter(simulator))``.

    A lost answer is a ReadTimeout, a request that never arrived a ConnectionError. Safe to share between threads.
    """

    def __init__(self, simulator: Simulator) -> None:
        super().__init__()
        self.simulator = simulator

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        url = urlsplit(request.url or "")
        target = url.path + (f"?{url.query}" if url.query else "")
        body = request.body or b""
        raw = (
            body.encode()
            if isinstance(body, str)
            else bytes(body)
            if isinstance(body, bytes | bytearray)
            else b""
        )
        headers = {str(k).lower(): str(v) for k, v in request.headers.items()}
        reply = self.simulator.handle(request.method or "GET", target, headers, raw)
        self._raise_or_wait(reply, request, timeout)
        return _response(reply, request)

    def _raise_or_wait(self, reply: Reply, request: requests.PreparedRequest, timeout: Any) -> None:
        if reply.lost == "before":
            raise requests.exceptions.ConnectionError("The request never arrived.", request=request)
        if reply.lost:
            raise requests.exceptions.ReadTimeout("The answer was lost.", request=request)
        if reply.delay_ms:
            patience = timeout[1] if isinstance(timeout, tuple) else timeout
            seconds = reply.delay_ms / 1000
            if patience is not None and seconds > patience:
                raise requests.exceptions.ReadTimeout("The answer came too late.", request=request)
            if self.simulator.clock is wall_clock:
                time.sleep(seconds)

    def close(self) -> None:
        """Nothing to close."""


def _response(reply: Reply, request: requests.PreparedRequest) -> requests.Response:
    response = requests.Response()
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict(reply.headers)
    response.encoding = "utf-8"
    response.url = request.url or ""
    response.request = request
    response.raw = BytesIO(reply.body)
    response._content = reply.body
    response.reason = "OK" if reply.status == 200 else ""
    return response
