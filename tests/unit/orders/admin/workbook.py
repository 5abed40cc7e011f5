"""A workbook as a spreadsheet reads it: its cells by row, what kind each is, and how it is shown."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001  # a spreadsheet's times know no zone


@dataclass(frozen=True)
class Seen:
    """One cell: ``n`` is a number, text has ``inlineStr`` or ``s``; ``shown`` is its number format."""

    kind: str
    text: str
    shown: str

    @property
    def moment(self) -> datetime:
        return DAY_ZERO + timedelta(seconds=round(float(self.text) * 86400))


def rows_of(response: Any) -> list[dict[str, Seen]]:
    """Read an answer's only sheet, by the names in its first row; cells that are empty are not there."""
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        styles = ElementTree.fromstring(book.read("xl/styles.xml"))
        names = set(book.namelist())
    assert not list(sheet.iter(f"{MAIN}f")), "a formula"
    assert not list(sheet.iter(f"{MAIN}hyperlink")), "a link"
    assert not any("externalLink" in name or "vba" in name.lower() for name in names)
    formats = {found.get("numFmtId"): found.get("formatCode", "") for found in styles.iter(f"{MAIN}numFmt")}
    formats |= {"0": "General", "1": "0", "2": "0.00"}
    cells = styles.find(f"{MAIN}cellXfs")
    assert cells is not None
    shown = [formats[found.get("numFmtId") or "0"] for found in cells]
    lines: list[dict[str, Seen]] = []
    for row in sheet.iter(f"{MAIN}row"):
        line = {}
        for cell in row:
            place = (cell.get("r") or "").rstrip("0123456789")
            text = "".join(part.text or "" for part in cell.iter() if part.tag in (f"{MAIN}v", f"{MAIN}t"))
            line[place] = Seen(cell.get("t", "n"), text, shown[int(cell.get("s", "0"))])
        lines.append(line)
    heading = {place: cell.text for place, cell in lines[0].items()}
    return [{heading[place]: cell for place, cell in line.items()} for line in lines[1:]]
