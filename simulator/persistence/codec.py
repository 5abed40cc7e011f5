"""The engine's records as JSON values, and back."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any, Final

from simulator.engine.market import Depth
from simulator.engine.records import (
    Account,
    Algo,
    Fill,
    Income,
    Order,
    Position,
    Record,
    UncoveredInterval,
)

KINDS: Final[dict[str, type[Any]]] = {
    kind.KIND: kind for kind in (Account, Position, Order, Algo, Fill, Income, UncoveredInterval)
}


def _decoder(hint: Any) -> Callable[[Any], Any] | None:
    """What turns the JSON value of a field with this type into the field; nothing where it is the same."""
    if hint is Decimal:
        return Decimal
    if typing.get_origin(hint) is dict and typing.get_args(hint)[1] is Decimal:
        return lambda value: {key: Decimal(item) for key, item in value.items()}
    return None


_DECODERS: Final = {
    name: {f: d for f, hint in typing.get_type_hints(kind).items() if (d := _decoder(hint)) is not None}
    for name, kind in KINDS.items()
}
_NAMES: Final = {name: [f.name for f in fields(kind)] for name, kind in KINDS.items()}


def encode(record: Record) -> dict[str, Any]:
    """A record as JSON values."""
    return {name: _encoded(getattr(record, name)) for name in _NAMES[record.KIND]}


def _encoded(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value


def decode(kind: str, row: dict[str, Any]) -> Any:
    """A record from JSON values; fields that this version does not have are left out."""
    decoders = _DECODERS[kind]
    known = {name: value for name, value in row.items() if name in _NAMES[kind]}
    return KINDS[kind](
        **{name: decoders[name](value) if name in decoders else value for name, value in known.items()}
    )


def encode_depth(depth: Depth) -> list[Any]:
    return [str(depth.per_level), depth.levels, str(depth.spacing), str(depth.growth), str(depth.queue)]


def decode_depth(row: list[Any]) -> Depth:
    return Depth(Decimal(row[0]), row[1], Decimal(row[2]), Decimal(row[3]), Decimal(row[4]))
