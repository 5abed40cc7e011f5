"""Trios as a file of comma-separated values: read strictly, written so that a spreadsheet runs no formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from exchange.types import Side, TimeInForce
from signals.domain.posts import symbol_named
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms, TermsError, entry_type_of, positive

BYTES_MAX: Final = 256 * 1024
ROWS_MAX: Final = 500
CELL_MAX: Final = 200
REQUIRED: Final = ("account", "symbol", "side", "quantity", "stop_loss", "take_profit")
COLUMNS: Final = (*REQUIRED[:4], "trigger_price", "price", "time_in_force", *REQUIRED[4:], "protection")
PROTECTIONS: Final = ("", "PRE_ARMED", "ON_FIRST_FILL")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file: as it stands there, and what it means, or what is wrong with it."""

    number: int  # of the line, as an editor counts
    cells: Mapping[str, str]
    account: str = ""
    symbol: str = ""
    side: Side | None = None
    terms: Terms | None = None
    problems: tuple[str, ...] = ()

    @property
    def quantity(self) -> Decimal:
        assert self.terms is not None
        assert self.terms.size is not None
        return self.terms.size.value


@dataclass(slots=True)
class _Reader:
    """Collects what is wrong with one line, all of it."""

    cells: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def number(self, name: str) -> Decimal | None:
        try:
            return positive(name, self.cells.get(name, ""))
        except TermsError as error:
            self.problems.append(str(error))
            return None

    def word(self, name: str, known: Iterable[str], default: str = "") -> str:
        found = self.cells.get(name, "").upper() or default
        if found not in (words := list(known)):
            self.problems.append(
                f"{name} is {found[:40]!r}: one of {', '.join(filter(None, words))} is meant."
            )
            return ""
        return found


def read_rows(content: bytes) -> list[Row]:
    """Return the lines of a file. Raises SignalRefused where it is none of ours as a whole."""
    if len(content) > BYTES_MAX:
        raise _refused(f"it has {len(content)} bytes, {BYTES_MAX} are allowed")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused("it is not UTF-8 text") from None
    if "\0" in text:
        raise _refused("it is not text")
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ";" if head.count(";") > head.count(",") else ","
    try:
        lines = list(_lines(text, delimiter))
    except csv.Error as error:
        raise _refused(f"it is not CSV ({error})") from None
    if not lines:
        raise _refused("it is empty")
    names = [name.strip().lower() for name in lines[0][1]]
    if len(set(names)) != len(names):
        raise _refused("a column comes twice")
    if odd := [name for name in names if name not in COLUMNS]:
        raise _refused(f"{odd[0][:40]!r} is not a column: choose from {', '.join(COLUMNS)}")
    if missing := [name for name in REQUIRED if name not in names]:
        raise _refused(f"the column {missing[0]} is missing")
    if len(lines) == 1:
        raise _refused("it has no rows")
    if len(lines) - 1 > ROWS_MAX:
        raise _refused(f"it has {len(lines) - 1} rows, {ROWS_MAX} are allowed")
    return [_row(number, names, cells) for number, cells in lines[1:]]


def write_rows(rows: Iterable[Mapping[str, str]]) -> str:
    """Return rows in the form in which they are read; a cell that a spreadsheet would run is text there."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_escaped(row.get(name, "")) for name in COLUMNS])
    return out.getvalue()


def _lines(text: str, delimiter: str) -> Iterable[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _row(number: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        wrong = f"it has {len(cells)} cells where the first line has {len(names)}."
        return Row(number, dict(zip(names, cells, strict=False)), problems=(wrong,))
    by_name = {name: _unescaped(cell.strip())[:CELL_MAX] for name, cell in zip(names, cells, strict=True)}
    reader = _Reader(by_name)
    if not by_name["account"]:
        reader.problems.append("account is empty.")
    try:
        symbol = symbol_named(by_name["symbol"])
    except TermsError as error:
        symbol = ""
        reader.problems.append(str(error))
    side = reader.word("side", ("BUY", "SELL"))
    quantity, stop, target = (reader.number(name) for name in ("quantity", "stop_loss", "take_profit"))
    price = reader.number("price") if by_name.get("price") else None
    trigger = reader.number("trigger_price") if by_name.get("trigger_price") else None
    force = reader.word("time_in_force", (known.value for known in TimeInForce), TimeInForce.GTC.value)
    protection = reader.word("protection", PROTECTIONS)
    if reader.problems or quantity is None or stop is None or target is None:
        return Row(number, by_name, by_name["account"], symbol, problems=tuple(reader.problems))
    terms = Terms(
        stop=Level(LevelKind.PRICE, stop),
        target=Level(LevelKind.PRICE, target),
        size=Size(SizeKind.QUANTITY, quantity),
        entry_type=entry_type_of(trigger=trigger, price=price),
        price=price,
        trigger=trigger,
        time_in_force=TimeInForce(force),
        protection=protection,
    )
    return Row(number, by_name, by_name["account"], symbol, Side(side), terms)


def _escaped(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _refused(what: str) -> SignalRefused:
    return SignalRefused(RefusalKind.FILE_WRONG, what=what)
