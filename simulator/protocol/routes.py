"""Every endpoint of the exchange."""

from __future__ import annotations

from typing import Final

from simulator.protocol import (
    account_api,
    algo_api,
    batch_api,
    listen_key_api,
    market_api,
    settings_api,
    trade_api,
)
from simulator.protocol.context import Route

ROUTES: Final[dict[tuple[str, str], Route]] = {
    **market_api.ROUTES,
    **trade_api.ROUTES,
    **batch_api.ROUTES,
    **algo_api.ROUTES,
    **account_api.ROUTES,
    **settings_api.ROUTES,
    **listen_key_api.ROUTES,
}
PATHS: Final = frozenset(path for _, path in ROUTES)
