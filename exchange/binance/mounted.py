"""A ``requests`` adapter in place of the network: the simulator, in process."""

from __future__ import annotations

from types import MappingProxyType

import requests
from requests.adapters import BaseAdapter

from exchange.binance.answer import Answer
from exchange.binance.transport import Flight, Outgoing, time_left

NEVER_LEFT = (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)


class Mounted:
    """Sends through an adapter. When its first byte leaves it does not say, so a byte counts as sent."""

    def __init__(self, adapter: BaseAdapter) -> None:
        self._adapter = adapter

    def send(self, outgoing: Outgoing, flight: Flight) -> Answer:
        request = requests.Request(
            outgoing.method, outgoing.url, params=outgoing.query, headers=dict(outgoing.headers)
        ).prepare()
        flight.leave()
        try:
            response = self._adapter.send(request, stream=True, timeout=time_left(flight.deadline))
            text = response.content.decode("utf-8", errors="replace")
        except NEVER_LEFT:
            flight.sent = False
            raise
        headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
        return Answer(int(response.status_code), MappingProxyType(headers), text)
