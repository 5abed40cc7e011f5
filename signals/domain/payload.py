"""A post's body: JSON read strictly, whatever its content type says, and looked up by plain dotted paths."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from signals.domain.refusals import RefusalKind, SignalRefused

DEPTH_MAX: Final = 16
TEXT_MAX: Final = 2000
PATH_MAX: Final = 200


def read(body: bytes) -> dict[str, Any]:
    """Return a body's object, its numbers as Decimal. Raises SignalRefused.

    What JSON does not know (NaN, Infinity) and what has two meanings (a key that comes twice) is refused.
    """
    try:
        found = json.loads(
            body.removeprefix(BOM_UTF8).decode("utf-8"),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_number,
            object_pairs_hook=_each_key_once,
        )
    except (UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise SignalRefused(RefusalKind.MALFORMED, what=_said(error)) from None
    if not isinstance(found, dict):
        raise SignalRefused(RefusalKind.MALFORMED, what="it must be an object, as in {…}")
    if _depth(found) > DEPTH_MAX:
        raise SignalRefused(RefusalKind.MALFORMED, what="it is nested too deeply")
    return found


def look_up(payload: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a dotted path (``order.price``, ``targets.0``); ``None`` when nothing does."""
    found: Any = payload
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isascii() and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def without(payload: Any, secret: str) -> Any:
    """Return a payload in which the secret stands nowhere, all of it text that can be stored; numbers as they were."""
    if isinstance(payload, Mapping):
        return {_clean(str(key), secret): without(value, secret) for key, value in payload.items()}
    if isinstance(payload, list):
        return [without(value, secret) for value in payload]
    return _clean(payload, secret) if isinstance(payload, str) else payload


def storable(payload: Any) -> Any:
    """Return a payload fit for a row: numbers as text, and nothing longer than anybody reads."""
    if isinstance(payload, Mapping):
        return {key[:PATH_MAX]: storable(value) for key, value in payload.items()}
    if isinstance(payload, list):
        return [storable(value) for value in payload]
    if isinstance(payload, Decimal):
        return str(payload)[:PATH_MAX]
    return payload[:TEXT_MAX] if isinstance(payload, str) else payload


def _clean(text: str, secret: str) -> str:
    """Take out the secret, and what a database stores of no text: NUL, and half of a surrogate pair."""
    return text.replace(secret, "•••").replace("\0", "").encode("utf-8", "replace").decode()


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _depth(value: Any) -> int:
    depth, ahead = 0, [value]
    while ahead and depth <= DEPTH_MAX:
        depth += 1
        children: list[Any] = []
        for one in ahead:
            children += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        ahead = children
    return depth


def _said(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)[:100] if isinstance(error, ValueError) else "a number is out of range"
