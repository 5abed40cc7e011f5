"""Client order ids: chosen before sending, and recognisable as ours."""

from __future__ import annotations

import re
from typing import Final

from orders.domain.enums import Role

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
OURS: Final = re.compile(
    r"(?P<install>[a-z0-9]{4})-(?P<trio>[a-z0-9]+)-(?P<role>[aceplrstx])(?P<generation>\d+)"
)


def base36(number: int) -> str:
    """Return a non-negative number in base 36."""
    if number < 0:
        raise ValueError("a trio's number is not negative")
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
        if not number:
            return digits


def stem(install: str, trio_id: int) -> str:
    return f"{install}-{base36(trio_id)}"


def client_id(stem: str, role: Role, generation: int) -> str:
    """Return ``<install>-<trio>-<role><generation>``, at most 36 characters."""
    made = f"{stem}-{role.letter}{generation}"
    if len(made) > 36:
        raise ValueError(f"client id {made!r} is longer than the exchange allows (36)")
    return made


def part(client_id: str) -> tuple[Role, int]:
    """Return the role and generation encoded in one of our client ids. Raises ValueError for any other."""
    match = OURS.fullmatch(client_id)
    if match is None:
        raise ValueError(f"{client_id!r} is not one of our client ids")
    role = next(role for role in Role if role.letter == match["role"])
    return role, int(match["generation"])
