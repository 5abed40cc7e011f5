"""The kinds of trio that are walked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from exchange.types import OrderType, PositionMode, PositionSide, Side
from orders.domain.drift import DriftPolicy, Response
from orders.domain.enums import Follow, Protection, TargetPolicy
from orders.domain.snapshot import PartTarget, Rung, Spec
from tests.walk.world import WHOLE, Bound, Setting

LONG: Final = Spec(
    side=Side.BUY,
    position_side=PositionSide.BOTH,
    mode=PositionMode.ONE_WAY,
    quantity=Decimal(WHOLE),
    entry_type=OrderType.MARKET,
    protection=Protection.ON_FIRST_FILL,
    stop_loss=Decimal(90),
    take_profit=Decimal(110),
    tick=Decimal("0.1"),
    multiplier_up=Decimal("1.15"),
    multiplier_down=Decimal("0.85"),
)


def kinds() -> dict[str, Spec]:
    """Return every combination of entry type, protection and position mode; hedge ones are short."""
    found = {}
    for entry_type in (OrderType.MARKET, OrderType.LIMIT):
        for protection in (Protection.ON_FIRST_FILL, Protection.PRE_ARMED):
            for mode in (PositionMode.ONE_WAY, PositionMode.HEDGE):
                spec = replace(LONG, entry_type=entry_type, protection=protection, mode=mode)
                if entry_type is OrderType.LIMIT:
                    spec = replace(spec, price=Decimal(100))
                if mode is PositionMode.HEDGE:
                    spec = replace(
                        spec,
                        side=Side.SELL,
                        position_side=PositionSide.SHORT,
                        stop_loss=Decimal(110),
                        take_profit=Decimal(90),
                    )
                name = f"{entry_type} {protection} {mode}"
                found[name] = spec
    return found


def settings(bound: Bound) -> list[Setting]:
    return [Setting(name, spec, bound) for name, spec in kinds().items()]


def living(bound: Bound) -> list[Setting]:
    """Return the trios that a person changes while they are open, and those with a part target; each mode, each side."""
    found = kinds()
    one_way, hedge = found["MARKET ON_FIRST_FILL ONE_WAY"], found["MARKET PRE_ARMED HEDGE"]
    settings = []
    for mode, spec in (("ONE_WAY", one_way), ("HEDGE", hedge)):
        level = Decimal(105) if spec.side is Side.BUY else Decimal(95)
        parted = replace(spec, part_targets=(PartTarget(1, level, Decimal(34)),), follow=Follow.BREAK_EVEN)
        settings += [
            Setting(f"moved {mode}", spec, bound, verbs=("stop", "target")),
            Setting(f"changed in size {mode}", spec, bound, verbs=("part", "add")),
            Setting(f"part target {mode}", parted, bound, verbs=("stop", "part")),
        ]
    return settings


def drifting(bound: Bound) -> list[Setting]:
    """Return the trios whose account has chosen what is done when somebody acts outside; each mode, each side."""
    found = kinds()
    closes = DriftPolicy(stop_cancelled=Response.CLOSE, reduced=Response.CLOSE, increased=Response.CLOSE)
    asks = DriftPolicy(reduced=Response.ASK, increased=Response.ADOPT)
    return [
        Setting(f"{words} {mode}", spec, bound, drift=policy)
        for words, policy in (("closes on drift", closes), ("asks and adopts", asks))
        for mode, spec in (
            ("ONE_WAY", found["MARKET ON_FIRST_FILL ONE_WAY"]),
            ("HEDGE", found["MARKET PRE_ARMED HEDGE"]),
        )
    ]


def ladders(bound: Bound) -> list[Setting]:
    """Return the trios that enter by a ladder, of one lot and of two; each mode, each side, each protection."""
    found = kinds()
    settings = []
    for name in ("LIMIT ON_FIRST_FILL ONE_WAY", "LIMIT PRE_ARMED HEDGE"):
        further = Decimal(95) if found[name].side is Side.BUY else Decimal(105)
        rungs = (Rung(1, Decimal(100), Decimal(34)), Rung(2, further, Decimal(66)))
        settings.append(Setting(f"ladder, {name}", replace(found[name], rungs=rungs), bound))
    return settings


def variants(bound: Bound) -> list[Setting]:
    """Return the trios that differ in something else: a good-till time, a policy, no legs, a dry run."""
    found = kinds()
    resting = found["LIMIT PRE_ARMED ONE_WAY"]
    market = found["MARKET ON_FIRST_FILL ONE_WAY"]
    alone = replace(market, stop_loss=None, take_profit=None)
    breakout = replace(market, entry_type=OrderType.STOP_MARKET, trigger_price=Decimal(100))
    armed = replace(breakout, protection=Protection.PRE_ARMED)
    hedge = found["LIMIT ON_FIRST_FILL HEDGE"]
    stop_limit = replace(hedge, entry_type=OrderType.STOP, trigger_price=Decimal(100))
    limit_alone = replace(alone, entry_type=OrderType.LIMIT, price=Decimal(100))
    return [
        Setting("LIMIT PRE_ARMED, good till five seconds", resting, bound, good_till=5000),
        Setting(
            "LIMIT ON_FIRST_FILL, good till five seconds",
            found["LIMIT ON_FIRST_FILL HEDGE"],
            bound,
            good_till=5000,
        ),
        Setting("MARKET, held for three seconds", market, bound, hold_for=3000),
        Setting("MARKET, keep the stop", replace(market, target_policy=TargetPolicy.KEEP_STOP), bound),
        Setting("MARKET, entry only", alone, bound),
        Setting("LIMIT, entry only", limit_alone, bound),
        Setting("MARKET, dry run", market, bound, dry_run=True),
        Setting("STOP_MARKET ON_FIRST_FILL", breakout, bound),
        Setting("STOP_MARKET PRE_ARMED", armed, bound),
        Setting("STOP ON_FIRST_FILL HEDGE", stop_limit, bound),
        Setting("STOP PRE_ARMED HEDGE", replace(stop_limit, protection=Protection.PRE_ARMED), bound),
    ]
