"""Client order ids that Binance keeps for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.types import ClosedBy

CLOSING: Final[Mapping[str, ClosedBy]] = {
    "autoclose-": ClosedBy.LIQUIDATION,
    "adl_autoclose": ClosedBy.ADL,
    "settlement_autoclose-": ClosedBy.SETTLEMENT,
    "delivery_autoclose-": ClosedBy.DELIVERY,
}
RESERVED: Final = (*CLOSING, "x-")  # libraries put a broker's id after x-


def closed_by(client_id: str) -> ClosedBy | None:
    """Return why the exchange placed the order with this id, ``None`` when it is not its own."""
    return next((reason for prefix, reason in CLOSING.items() if client_id.startswith(prefix)), None)
