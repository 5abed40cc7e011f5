"""Where production and demo differ, and the facts nobody has confirmed: one switch for each."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Profile:
    """The switches of one exchange."""

    name: str = "demo"
    weight_per_minute: int = 6000
    orders_per_minute: int = 1200
    orders_per_ten_seconds: int = 300
    enforce_rates: bool = True
    conditional_max: int = 200
    # Unconfirmed facts, each with the assumption made by default.
    flat_reduce_only_algo: str = "accept"  # accept | refuse: a one-way reduceOnly quantity leg while flat
    flat_hedge_algo: str = "accept"  # accept | refuse: a hedge quantity leg while that side is flat
    cut_reduce_only_algo: bool = True  # a reduce-only leg larger than the position is echoed cut
    hedge_excess_at_trigger: str = "refuse"  # refuse | trim
    # -4118 when resting reduce-only limits already reduce the whole position
    resting_reduce_only_blocks: bool = True
    child_ids: str = "same"  # same | own: clientOrderId of the order that a trigger places
    algo_lookup_lag_ms: int = 0  # how long GET algoOrder answers -2013 after placement
    finished_first: bool = False  # ALGO_UPDATE FINISHED goes out before the child's fill
    hedge_exit_notional: bool = False  # a hedge exit must reach the minimum notional
    unrouted_streams: str = "all"  # all | public: what a socket without a route carries
    shared_ids: bool = False  # a clientAlgoId may not equal an open newClientOrderId
    strict_booleans: bool = True  # only true and false; some libraries send True and False
    trigger_delay_ms: int = 0  # how long an order stays TRIGGERING
    trigger_band: Decimal | None = None  # a trigger farther from the market than this share: -4210, -4211
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.0005")
    finished_orders_max: int = 20000  # ended orders kept for each account and kind, at most

    def but(self, **changes: Any) -> Profile:
        """A copy with some switches set. Raises ValueError for a switch that does not exist."""
        unknown = set(changes) - {f.name for f in fields(self)}
        if unknown:
            known = ", ".join(f.name for f in fields(self))
            raise ValueError(f"There is no profile switch {', '.join(sorted(unknown))}. Known: {known}.")
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


def _checked(name: str, value: Any) -> Any:
    """Check and convert the value of a switch. Raises ValueError that names what is allowed."""
    known = CHOICES.get(name)
    if known is not None:
        if value not in known:
            raise ValueError(f"The switch {name} is {' or '.join(known)}, not {value!r}.")
        return value
    kind = next(str(f.type) for f in fields(Profile) if f.name == name)
    if kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"The switch {name} is true or false, not {value!r}.")
    if kind == "int" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"The switch {name} is a whole number, not {value!r}.")
    if not kind.startswith("Decimal") or value is None:
        return value
    try:
        share = Decimal(str(value))
    except InvalidOperation:
        share = Decimal(-1)
    if not share.is_finite() or not 0 <= share < 1:
        raise ValueError(f"The switch {name} is a share such as 0.05, not {value!r}.")
    return share


CHOICES: Final = {
    "flat_reduce_only_algo": ("accept", "refuse"),
    "flat_hedge_algo": ("accept", "refuse"),
    "hedge_excess_at_trigger": ("refuse", "trim"),
    "child_ids": ("same", "own"),
    "unrouted_streams": ("all", "public"),
}


PROFILES: Final = {
    "demo": Profile(),
    "prod": Profile(name="prod", weight_per_minute=2400, unrouted_streams="public"),
}


def profile_named(name: str) -> Profile:
    """Find a profile by its name. Raises ValueError that lists the known ones."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"There is no profile {name!r}. Known: {', '.join(PROFILES)}.") from None
