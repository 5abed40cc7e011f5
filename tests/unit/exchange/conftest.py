from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchange.binance.client import BinanceExchange
from exchange.types import Endpoints
from tests.unit.exchange.peer import Peer

# Binance's own published example pair; it opens nothing.
KEY = "dbefbc809e3e83c283a984c3a1459732ea7db1360ca80c5c2c8867408d28cc83"
SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    yield server
    server.close()


@pytest.fixture
def exchange(peer: Peer) -> BinanceExchange:
    return BinanceExchange(Endpoints(rest=peer.url, stream="", sapi=peer.url), api_key=KEY, api_secret=SECRET)
