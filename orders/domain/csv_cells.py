"""Cells of a file for a spreadsheet, which must not take what somebody wrote for a formula. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
BEGINS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def cell(text: str) -> str:
    """Return a cell that no spreadsheet runs; a plain number stays one."""
    return text if NUMBER.fullmatch(text) or not text.startswith(BEGINS_A_FORMULA) else f"'{text}"


def csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a file, one a row; nothing is shown as an empty cell."""
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow(
            [cell("" if value is None else str(value)) for value in row]
        )
        yield line.getvalue()
