"""A body or frame as JSON, before anybody reads its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


class ForeignShape(ValueError):
    """The body is not what this request is answered with. The text says what is missing or odd."""


def parse(text: str) -> Any:
    """Read JSON; numbers with a fraction or exponent stay text, exactly as written."""

    def refuse(constant: str) -> None:
        raise ForeignShape(f"{constant} is not a number")

    try:
        return json.loads(text, parse_float=str, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ForeignShape("the body is not JSON" if text.strip() else "the body is empty") from error


def as_object(body: object) -> Body:
    """Return the body, a JSON object. Raises ForeignShape for anything else."""
    if not isinstance(body, dict):
        raise ForeignShape(f"an object was expected, not {type(body).__name__}")
    return body


def as_list(body: object) -> list[Any]:
    """Return the body, a JSON list. Raises ForeignShape for anything else."""
    if not isinstance(body, list):
        raise ForeignShape(f"a list was expected, not {type(body).__name__}")
    return body


def read_frame(frame: str) -> Body:
    """Read one WebSocket frame; of a combined stream's, what it carries. Raises ForeignShape."""
    body = as_object(parse(frame))
    return as_object(body["data"]) if "stream" in body and "data" in body else body
