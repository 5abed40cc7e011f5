"""What a post means: its fields found by the source's paths, its symbol in the exchange's name, its verb.

TradingView's own placeholders are understood as they come. ``market_position`` says where the position is to be after
this post, so a post that comes late or in the wrong order can only do what still leads there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from exchange.types import ZERO, Side
from signals.domain.enums import Verb
from signals.domain.payload import look_up
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.terms import (
    Level,
    LevelKind,
    Size,
    SizeKind,
    Terms,
    TermsError,
    entry_type_of,
    positive,
    protection_named,
)

# What a post may say. A source's mapping says at which path each stands; without one it is the name itself.
FIELDS: Final = (
    *("secret", "id", "time", "symbol", "action", "market_position", "prev_market_position"),
    *("quantity", "position_size", "notional", "equity_percent", "risk_percent"),
    *(
        "price",
        "trigger_price",
        "protection",
        "stop",
        "stop_percent",
        "stop_atr",
        "target",
        "target_percent",
        "target_atr",
        "target_r",
        "atr",
    ),
    "comment",
)
ACTIONS: Final[Mapping[str, Verb | Side]] = {
    "buy": Side.BUY, "long": Side.BUY, "sell": Side.SELL, "short": Side.SELL,
    "close": Verb.CLOSE, "exit": Verb.CLOSE, "flat": Verb.CLOSE, "cancel": Verb.CANCEL,
    "add": Verb.ADD, "reduce": Verb.REDUCE, "move": Verb.MOVE,
}  # fmt: skip
POSITIONS: Final[Mapping[str, Side | None]] = {"long": Side.BUY, "short": Side.SELL, "flat": None}
SIZES: Final = {
    "quantity": SizeKind.QUANTITY, "notional": SizeKind.NOTIONAL, "equity_percent": SizeKind.EQUITY,
    "risk_percent": SizeKind.RISK,
}  # fmt: skip
STOPS: Final = {"stop": LevelKind.PRICE, "stop_percent": LevelKind.PERCENT, "stop_atr": LevelKind.ATR}
TARGETS: Final = {
    "target": LevelKind.PRICE, "target_percent": LevelKind.PERCENT, "target_atr": LevelKind.ATR, "target_r": LevelKind.R,
}  # fmt: skip
SYMBOL: Final = re.compile(r"[A-Z0-9_]{2,40}")
PERPETUAL: Final = re.compile(r"(\.P|\.PERP|(?<=USD[TC])PERP)$")
MS_FROM: Final = 100_000_000_000  # a number that large counts milliseconds since 1970, a smaller one seconds


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the source itself says. Its size, when it has one, counts instead of the post's; ``cap`` and ``slippage`` of any."""

    size: Size | None = None
    stop: Level | None = None
    target: Level | None = None
    cap: bool = False
    slippage: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Post:
    symbol: str
    verb: Verb
    side: Side | None
    terms: Terms
    time: datetime | None = None
    id: str = ""
    reason: str = ""
    atr: Decimal | None = None


def read_post(payload: Mapping[str, Any], mapping: Mapping[str, str], defaults: Defaults) -> Post:
    """Return what a post means. Raises SignalRefused."""
    said = {
        name: value for name in FIELDS if (value := look_up(payload, mapping.get(name, name))) is not None
    }
    try:
        verb, side = verb_of(
            _text(said, "action"), _text(said, "market_position"), _text(said, "prev_market_position")
        )
        return Post(
            symbol=symbol_named(_text(said, "symbol")),
            verb=verb,
            side=side,
            terms=_terms(said, verb, defaults),
            time=_time(said["time"]) if "time" in said else None,
            id=_text(said, "id"),
            reason=_text(said, "comment")[:500],
            atr=positive("atr", said["atr"]) if "atr" in said else None,
        )
    except TermsError as error:
        raise SignalRefused(RefusalKind.FIELD_WRONG, field=error.field, text=str(error)) from None


def verb_of(action: str, position: str = "", before: str = "") -> tuple[Verb, Side | None]:
    """Return what to do, and on which side. Raises TermsError.

    ``position`` is where the source is to be afterwards, ``before`` where it was. A close bears the side that it closes,
    where the post tells it: one that comes late finds nothing on the other.
    """
    meant = ACTIONS.get(action.strip().lower())
    if meant is None and (action or not position):
        known = ", ".join(ACTIONS)
        raise TermsError("action", f"action is {action[:40]!r}: use one of {known}.")
    if isinstance(meant, Verb):
        side = _position("market_position", position) if position else None
        if meant is Verb.CLOSE and side is None and before:
            with suppress(TermsError):  # a word that says nothing holds up no exit
                side = _position("prev_market_position", before)
        return meant, side
    if not position:
        assert meant is not None
        return Verb.ENTER, meant
    wanted = _position("market_position", position)
    was = _position("prev_market_position", before) if before else None
    if wanted is None:
        return Verb.CLOSE, was or (None if meant is None else meant.opposite)
    if meant is not None and meant is not wanted:
        return Verb.REDUCE, wanted  # it sells towards a position that is to be long: it can only reduce
    if was is wanted:
        return Verb.ADD, wanted
    return (Verb.ENTER if was is None else Verb.REVERSE), wanted


def symbol_named(text: str) -> str:
    """Return a symbol as the exchange calls it, from the ways in which others write it. Raises TermsError."""
    name = text.strip().upper()
    if "/" in name:  # BTC/USDT:USDT, settled in its quote asset
        base, _, rest = name.partition("/")
        quote, _, settled = rest.partition(":")
        name = base + quote if settled in ("", quote) else ""
    else:
        venue, _, rest = name.rpartition(":")
        name = rest if venue in ("", "BINANCE") else ""
    name = PERPETUAL.sub("", name)
    if not SYMBOL.fullmatch(name):
        raise TermsError(
            "symbol", f"symbol is {text[:40]!r}: as in BTCUSDT, BINANCE:BTCUSDT.P or BTC/USDT:USDT."
        )
    return name


def _terms(said: Mapping[str, Any], verb: Verb, defaults: Defaults) -> Terms:
    if verb is Verb.MOVE:
        moved = Terms(stop=_one_price(said, "stop"), target=_one_price(said, "target"))
        if moved.stop is None and moved.target is None:
            raise TermsError("stop", "A move says where to: stop, target, or both, as prices.")
        return moved
    if verb is Verb.REDUCE:
        return Terms(size=_quantity(said, "the quantity to close"))
    if verb is Verb.ADD:
        size = (
            defaults.size if defaults.size is not None and defaults.size.kind is SizeKind.QUANTITY else None
        )
        return Terms(size=size or _quantity(said, "what is to be added"))
    if verb not in (Verb.ENTER, Verb.REVERSE):
        return Terms()
    price = positive("price", said["price"]) if "price" in said else None
    trigger = positive("trigger_price", said["trigger_price"]) if "trigger_price" in said else None
    return Terms(
        stop=_one_level(said, STOPS, "stop") or defaults.stop,
        target=_one_level(said, TARGETS, "target") or defaults.target,
        size=defaults.size or _size(said, verb, defaults),
        entry_type=entry_type_of(trigger=trigger, price=price),
        price=price,
        trigger=trigger,
        protection=protection_named(_text(said, "protection")),
    )


def _one_price(said: Mapping[str, Any], what: str) -> Level | None:
    return Level(LevelKind.PRICE, positive(what, said[what])) if what in said else None


def _quantity(said: Mapping[str, Any], what: str) -> Size:
    if "quantity" not in said:
        raise TermsError(
            "quantity", f"The post does not say how much is {what}: a quantity in the base asset."
        )
    return Size(SizeKind.QUANTITY, positive("quantity", _unsigned(said["quantity"])))


def _one_level(said: Mapping[str, Any], kinds: Mapping[str, LevelKind], what: str) -> Level | None:
    names = [name for name in kinds if name in said]
    if len(names) > 1:
        raise TermsError(what, f"{' and '.join(names)} are both given: give one {what}.")
    return Level(kinds[names[0]], positive(names[0], said[names[0]])) if names else None


def _size(said: Mapping[str, Any], verb: Verb, defaults: Defaults) -> Size | None:
    if verb is Verb.REVERSE and "position_size" in said:  # the order's own size closes the old position, too
        quantity = positive("position_size", _unsigned(said["position_size"]))
        return Size(SizeKind.QUANTITY, quantity, defaults.cap, defaults.slippage)
    names = [name for name in SIZES if name in said]
    if len(names) > 1:
        raise TermsError("quantity", f"{' and '.join(names)} are both given: give one size.")
    if verb is Verb.REVERSE and names == ["quantity"]:
        raise TermsError(
            "position_size",
            "A reversal's quantity closes the old position, too: say how large the new one is to be, as position_size "
            "({{strategy.position_size}}).",
        )
    if not names:
        return None
    return Size(SIZES[names[0]], positive(names[0], said[names[0]]), defaults.cap, defaults.slippage)


def _unsigned(value: Any) -> Any:
    if isinstance(value, Decimal):
        return abs(value)
    return value.strip().removeprefix("-") if isinstance(value, str) else value


def _position(field: str, text: str) -> Side | None:
    word = text.strip().lower()
    if word not in POSITIONS:
        raise TermsError(field, f"{field} is {text[:40]!r}: use long, short or flat.")
    return POSITIONS[word]


def _text(said: Mapping[str, Any], field: str) -> str:
    value = said.get(field, "")
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 40 else ""
    if not isinstance(value, str):
        raise TermsError(field, f"{field} is not text: {str(value)[:40]!r}")
    return value.replace("\0", "")


def _time(value: Any) -> datetime:
    try:
        if isinstance(value, Decimal) or (isinstance(value, str) and value.strip().isdigit()):
            number = int(positive("time", value))
            return datetime.fromtimestamp(number / 1000 if number >= MS_FROM else number, UTC)
        found = datetime.fromisoformat(str(value).strip())
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise TermsError("time", f"time is {str(value)[:40]!r}: as in 2026-11-28T10:00:00Z.") from None
