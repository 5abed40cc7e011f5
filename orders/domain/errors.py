"""What the trading core refuses. Every message is a sentence an operator can act on."""

from __future__ import annotations

from exchange.refusals import Refusal
from orders.domain.limits import Breach


class OrdersError(Exception):
    """Base of everything the trading core refuses."""


class IllegalTransition(OrdersError):
    """This verb does not apply to a trio in this state."""


class TrioRefused(OrdersError):
    """A rule, a limit or a gate refuses the trio. Nothing was changed."""


class LimitBroken(TrioRefused):
    """A limit of the account, or of the source on it, would be broken."""

    def __init__(self, breach: Breach) -> None:
        super().__init__(breach.sentence)
        self.breach = breach


class MarketUnread(TrioRefused):
    """The exchange could not be asked for what a check needs. Nothing was placed; the same may be tried again."""


class SlotTaken(TrioRefused):
    """Another trio lives in the slot: the same may be tried again once that one has ended."""


class RuleBroken(TrioRefused):
    """A trading rule is broken. ``field`` names the input to correct, ``refusal`` what the exchange would answer."""

    def __init__(self, field: str, sentence: str, refusal: Refusal | None = None) -> None:
        super().__init__(sentence)
        self.field = field
        self.refusal = refusal
