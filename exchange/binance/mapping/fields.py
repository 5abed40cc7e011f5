"""Single fields of a body. Each raises ForeignShape, with the field's name, for what it cannot read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, TypeVar

from exchange.binance.mapping.body import Body, ForeignShape, as_list
from exchange.types import ZERO, PositionSide

_T = TypeVar("_T")
_Enum = TypeVar("_Enum", bound=StrEnum)
_ABSENT: Final = (None, "", "None")


def text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ForeignShape(f"{name} is missing")
    return value


def text_or_empty(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def decimal(body: Body, name: str, *, fallback: Decimal | None = None) -> Decimal:
    value = body.get(name)
    if value in _ABSENT and fallback is not None:
        return fallback
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    raise ForeignShape(f"{name} is not a number: {str(value)[:40]!r}")


def positive_or_none(body: Body, name: str) -> Decimal | None:
    """Read a price or quantity; Binance writes 0 where there is none."""
    value = decimal(body, name, fallback=ZERO)
    return value if value > 0 else None


def integer(body: Body, name: str, *, fallback: int | None = None) -> int:
    value = body.get(name)
    if value in _ABSENT and fallback is not None:
        return fallback
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    raise ForeignShape(f"{name} is not a whole number: {str(value)[:40]!r}")


def boolean(body: Body, name: str, *, required: bool = False) -> bool:
    value = body.get(name)
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    if value in _ABSENT and not required:
        return False
    raise ForeignShape(f"{name} is neither true nor false: {str(value)[:40]!r}")


def enum_or_none(kind: type[_Enum], value: object) -> _Enum | None:
    """Return the member with this value; ``None`` for a value we do not know."""
    try:
        return kind(str(value))
    except ValueError:
        return None


def enum_member(kind: type[_Enum], value: object) -> _Enum:
    member = enum_or_none(kind, value)
    if member is None:
        raise ForeignShape(f"{str(value)[:40]!r} is no {kind.__name__}")
    return member


def position_side(body: Body, name: str) -> PositionSide:
    """Read a position side; what is absent or unknown is BOTH."""
    return enum_or_none(PositionSide, body.get(name)) or PositionSide.BOTH


def list_of(read: Callable[[Any], _T]) -> Callable[[Any], list[_T]]:
    """Return the reader of a list whose every row ``read`` reads."""
    return lambda body: [read(row) for row in as_list(body)]


def list_or_single(read: Callable[[Any], _T]) -> Callable[[Any], list[_T]]:
    """Return the reader of a list, or of the one object that Binance answers with in its place."""
    return lambda body: [read(row) for row in (body if isinstance(body, list) else [body])]
