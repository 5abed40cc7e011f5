"""Reading parameters as strictly as the real exchange does."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import unquote_plus

from simulator.engine.errors import CLIENT_ID_LEGAL, INTEGER_LEGAL, NUMBER_LEGAL, refusal

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)
_ENVELOPE = frozenset({"timestamp", "recvWindow", "signature"})


def decode(*parts: str) -> dict[str, str]:
    """Decode query and body; a name in both counts from the query. Raises ApiError."""
    found: dict[str, str] = {}
    for part in parts:
        own: set[str] = set()
        for pair in part.split("&") if part else ():
            if not pair:
                continue
            name, _, value = pair.partition("=")
            if "%" in pair or "+" in pair:
                try:
                    name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
                except UnicodeDecodeError:
                    raise refusal(-1100, name=name[:40], legal="UTF-8") from None
            if name in own:
                raise refusal(-1101, name=name[:40])
            own.add(name)
            found.setdefault(name, value)
    return found


class Params:
    """The decoded parameters of one request; keeps track of which were read."""

    __slots__ = ("_read", "_strict", "values")

    def __init__(self, values: dict[str, str], *, strict: bool = True) -> None:
        self.values = values
        self._strict = strict
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str | None:
        """The value, or None when it was not sent. Raises ApiError -1105 when it is empty."""
        self._read.add(name)
        value = self.values.get(name)
        if value is not None and not value:
            raise refusal(-1105, name=name)
        return value

    def need(self, name: str) -> str:
        """The value of a mandatory parameter. Raises ApiError -1102."""
        self._read.add(name)
        value = self.values.get(name)
        if not value:
            raise refusal(-1102, name=name.lower())
        return value

    def number(self, name: str) -> Decimal | None:
        """A plain decimal number. Raises ApiError -1100 for anything else, signs and exponents too."""
        value = self.text(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise refusal(-1100, name=name, legal=NUMBER_LEGAL)
        return Decimal(value)

    def need_number(self, name: str) -> Decimal:
        self.need(name)
        value = self.number(name)
        assert value is not None
        return value

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise refusal(-1100, name=name, legal=INTEGER_LEGAL)
        number = int(value)
        if number >= 1 << 63:
            raise refusal(-1130, name=name)
        return number

    def need_integer(self, name: str) -> int:
        self.need(name)
        value = self.integer(name)
        assert value is not None
        return value

    def boolean(self, name: str) -> bool | None:
        """``true`` or ``false``, in lower case unless the profile is lenient. Raises ApiError -1102."""
        value = self.text(name)
        if value is None:
            return None
        if not self._strict:
            value = value.lower()
        if value in ("true", "false"):
            return value == "true"
        raise refusal(-1102, name=name.lower())

    def choice(self, name: str, known: frozenset[str], code: int) -> str | None:
        """One of the known values. Raises ApiError with this code for any other."""
        value = self.text(name)
        if value is not None and value not in known:
            raise refusal(code, name=name, type=value)
        return value

    def client_id(self, name: str) -> str:
        """A client id, or an empty one when none was sent. Raises ApiError -4015, -1100."""
        value = self.text(name)
        if value is None:
            return ""
        if len(value) > 36:
            raise refusal(-4015)
        if not _CLIENT_ID.fullmatch(value):
            raise refusal(-1100, name=name, legal=CLIENT_ID_LEGAL)
        return value

    def forbid(self, name: str) -> None:
        """Raise ApiError -1106 when this parameter was sent."""
        if name in self.values:
            raise refusal(-1106, name=name.lower())

    def limit(self, default: int, most: int, name: str = "limit") -> int:
        value = self.integer(name)
        if value is None:
            return default
        if not 1 <= value <= most:
            raise refusal(-1130, name=name)
        return value

    def span(self, days: int | None = None) -> tuple[int | None, int | None]:
        """startTime and endTime. Raises ApiError -1023, -1127."""
        start, stop = self.integer("startTime"), self.integer("endTime")
        if start is not None and stop is not None:
            if start > stop:
                raise refusal(-1023)
            if days and stop - start > days * 86_400_000:
                raise refusal(-1127, hours=days * 24)
        return start, stop

    def forbid_unread(self) -> None:
        """Raise ApiError -1104 when a parameter was not read: an order is no place for one that nobody understands."""
        sent = [name for name in self.values if name not in _ENVELOPE]
        read = [name for name in sent if name in self._read]
        if len(read) != len(sent):
            raise refusal(-1104, read=len(read), sent=len(sent))
