"""Rows as a file for a spreadsheet: numbers are numbers, times are times of the viewer's zone, nothing in it runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import IO, Any, Final

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from xlsxwriter import Workbook

from orders.desk import zone_name
from orders.domain.csv_cells import Cell, Figure, TimeHeading, csv_lines
from orders.domain.rounding import plain

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TEXT_MAX: Final = 32_000  # what fits into a cell
WIDE: Final = 17  # characters
TIME_SHOWN: Final = "yyyy-mm-dd hh:mm:ss"
# Nothing that is written becomes anything else by its looks.
AS_WRITTEN: Final = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def csv_answer(rows: Iterable[Sequence[Cell]], name: str) -> HttpResponseBase:
    """Answer with rows as ``NAME.csv``; the first row is the names of the columns."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8", headers=headers)


def xlsx_answer(rows: Iterable[Sequence[Cell]], name: str) -> HttpResponseBase:
    """Answer with rows as ``NAME.xlsx``; the first row is the names of the columns."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # whoever sends it closes it
    xlsx_write(file, rows, zone=timezone.get_current_timezone())
    file.seek(0)
    headers = {"Cache-Control": "no-store"}
    return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX, headers=headers)


def xlsx_write(file: IO[bytes], rows: Iterable[Sequence[Cell]], *, zone: tzinfo) -> None:
    """Write rows into a workbook of one sheet, row by row: what is written is not kept in memory."""
    with Workbook(file, {"constant_memory": True, **AS_WRITTEN}) as book:
        sheet = book.add_worksheet("Rows")
        sheet.freeze_panes(1, 0)
        heading = book.add_format({"bold": True})
        shown: dict[str, Any] = {}

        def format_of(number_format: str) -> Any:
            if number_format not in shown:
                shown[number_format] = book.add_format({"num_format": number_format})
            return shown[number_format]

        for at, row in enumerate(rows):
            if at == 0:
                sheet.set_column(0, max(0, len(row) - 1), WIDE)
            for column, value in enumerate(row):
                match value:
                    case None | "":
                        continue
                    case TimeHeading():
                        sheet.write_string(at, column, f"{value.name} ({zone_name(zone)})", heading)
                    case Figure() if value.is_kept:
                        number = "0" + ("." + "0" * value.decimals if value.decimals else "")
                        sheet.write_number(at, column, float(value.value), format_of(number))
                    case Figure():  # every digit of it, rather than a number that lacks some
                        sheet.write_string(at, column, plain(value.value))
                    case datetime():
                        moment = value.astimezone(zone).replace(tzinfo=None)
                        sheet.write_datetime(at, column, moment, format_of(TIME_SHOWN))
                    case int():
                        sheet.write_number(at, column, value, format_of("0"))
                    case _:
                        sheet.write_string(at, column, value[:TEXT_MAX], heading if at == 0 else None)
