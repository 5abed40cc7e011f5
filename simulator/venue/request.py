"""One request: what was sent, and what admission found out about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulator.engine.account_book import AccountBook
from simulator.engine.records import STOPS, Slot

CLIENT_IDS: Final = ("newClientOrderId", "clientAlgoId", "origClientOrderId")
PLACEMENTS: Final = frozenset({("POST", "/fapi/v1/order"), ("POST", "/fapi/v1/algoOrder")})


@dataclass(slots=True)
class Request:
    """A request on its way through the venue."""

    method: str
    path: str
    query: str
    body: bytes
    api_key: str
    ip: str
    now: int

    sender: str = ""  # the account of its API key, whether or not the rest of it is right
    # Known once it is admitted.
    values: dict[str, str] = field(default_factory=dict)  # the decoded parameters
    book: AccountBook | None = None  # of the account that asks
    expires: int = 0  # the last ms at which it may execute; 0: no limit
    weight: int = 0  # charged to its address
    orders: int = 0  # counted in its account's windows
    headers: dict[str, str] = field(default_factory=dict)  # rate limits, for the reply

    @property
    def account(self) -> str:
        return self.book.account.name if self.book else ""

    @property
    def client_id(self) -> str:
        return next((self.values[name] for name in CLIENT_IDS if name in self.values), "")

    @property
    def fields(self) -> dict[str, str]:
        """What the match of a fault can ask of it."""
        return {**self.values, "method": self.method, "path": self.path, "account": self.account,
                "client_id": self.client_id}  # fmt: skip

    @property
    def may_open(self) -> bool:
        """Whether it is an order that may open or enlarge a position."""
        values = self.values
        if "side" not in values:
            return False
        only_reduces = values.get("closePosition") == "true" or values.get("reduceOnly") == "true"
        hedge_exit = (values.get("positionSide"), values["side"]) in (("LONG", "SELL"), ("SHORT", "BUY"))
        return not (only_reduces or hedge_exit)

    @property
    def protected_slot(self) -> Slot | None:
        """The slot whose position it is to protect, if it places a stop or an order that only closes."""
        if self.book is None or (self.method, self.path) not in PLACEMENTS:
            return None
        if self.may_open and self.values.get("type") not in STOPS:
            return None
        return self.account, self.values.get("symbol", ""), self.values.get("positionSide", "BOTH")
