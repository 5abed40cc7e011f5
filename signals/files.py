"""Files of trios: uploaded, shown row by row with what is wrong, confirmed as shown, placed once, nothing by half."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction

from accounts.models import ExchangeAccount
from infrastructure import job_queue
from orders import services
from orders.domain.errors import OrdersError
from orders.domain.rounding import plain
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.specs import spec_shown
from signals.domain.enums import Origin
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.trio_csv import Row, read_rows, write_rows
from signals.hooks import EXECUTE
from signals.models import Signal, TrioFile
from signals.services import signal_record

SOURCE: Final = "csv"  # its trios come from “file:csv”, whatever the file is called
ACT_WITHIN: Final = timedelta(seconds=120)
EXPORT_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row as it is shown: what would be placed, or what is wrong."""

    row: Row
    draft: TrioOrder | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """All rows of a file. ``token`` stands for exactly what is shown: only that is confirmed."""

    rows: Sequence[PreviewRow]
    token: str

    @property
    def is_sound(self) -> bool:
        return not any(row.problems for row in self.rows)


def file_made(*, name: str, content: bytes) -> TrioFile:
    """Return an uploaded file as a row that is not saved. Raises SignalRefused where it is no file of trios."""
    rows = read_rows(content)
    digest = hashlib.sha256(content).hexdigest()
    return TrioFile(name=name[:120], content=content, digest=digest, rows=len(rows))


def file_preview(file: TrioFile) -> Preview:
    """Check each row as if it were placed now, those before it included; nothing is recorded."""
    rows = read_rows(bytes(file.content))
    names = {row.account for row in rows}
    accounts = {account.name: account for account in ExchangeAccount.objects.filter(name__in=names)}
    drafts: dict[int, TrioOrder] = {}
    problems: dict[int, list[str]] = {row.number: list(row.problems) for row in rows}
    for row in rows:
        account = accounts.get(row.account)
        if row.account and account is None:
            problems[row.number].append(f"There is no account {row.account[:64]!r}.")
        if problems[row.number] or account is None:
            continue
        try:
            drafts[row.number] = _draft(row, account)
        except OrdersError as error:
            problems[row.number].append(str(error))
    for number, refusal in zip(drafts, services.trios_check(list(drafts.values())), strict=True):
        if refusal is not None:
            problems[number].append(str(refusal))
    shown = [PreviewRow(row, drafts.get(row.number), tuple(problems[row.number])) for row in rows]
    return Preview(shown, _token(file, shown))


def file_confirm(file_id: int, *, token: str, by: str) -> int:
    """Have all rows of a file placed, if it still is what was shown. Returns how many signals were new.

    Raises SignalRefused, and then nothing is placed: where a row is wrong now, or the preview is another one by now.
    A file whose rows were confirmed before, under whatever name, makes none anew.
    """
    file = TrioFile.objects.get(pk=file_id)
    if signals_of(file):  # all of its rows: they are recorded together
        return 0
    preview = file_preview(file)
    if preview.token != token:
        raise SignalRefused(RefusalKind.FILE_CHANGED)
    if not preview.is_sound:
        wrong = sum(bool(row.problems) for row in preview.rows)
        raise SignalRefused(RefusalKind.FILE_ROWS_WRONG, rows=str(wrong))
    with transaction.atomic():
        file = TrioFile.objects.select_for_update().get(pk=file_id)
        now = db_now()
        new = []
        for shown in preview.rows:
            assert shown.draft is not None
            signal, is_new = signal_record(
                origin=Origin.FILE,
                source=SOURCE,
                key=f"{file.digest} {shown.row.number}",
                symbol=shown.row.symbol,
                side=shown.row.side,
                terms=shown.row.terms,
                accounts=[shown.draft.account],
                act_before=now + ACT_WITHIN,
                reason=f"Line {shown.row.number} of {file.name}, confirmed by {by}.",
            )
            if is_new:
                new.append(signal.pk)
        if file.confirmed_at is None:
            file.confirmed_at, file.confirmed_by = now, by[:150]
            file.save(update_fields=["confirmed_at", "confirmed_by"])
        if new:
            job_queue.ring(EXECUTE, *new)
    return len(new)


def signals_of(file: TrioFile) -> list[Signal]:
    """Return the signals of a file's content, in the order of its rows."""
    found = Signal.objects.filter(origin=Origin.FILE, source=SOURCE, key__startswith=f"{file.digest} ")
    return list(found.prefetch_related("results__account", "results__trio__symbol").order_by("id"))


def trios_export() -> str:
    """Return the newest trios in the form in which a file is read, which knows no ladder: one order of it would be another."""
    trios = TrioOrder.objects.filter(rungs=[]).select_related("account", "symbol").order_by("-id")
    trios = trios[:EXPORT_MAX]
    return write_rows(_cells(trio) for trio in trios)


def _cells(trio: TrioOrder) -> Mapping[str, str]:
    return {
        "account": trio.account.name,
        "symbol": trio.symbol.symbol,
        "side": trio.side,
        "quantity": plain(trio.quantity),
        "trigger_price": plain(trio.trigger_price),
        "price": plain(trio.price),
        "time_in_force": trio.time_in_force if trio.price is not None else "",
        "stop_loss": plain(trio.stop_loss),
        "take_profit": plain(trio.take_profit),
        "protection": trio.protection,
    }


def _draft(row: Row, account: ExchangeAccount) -> TrioOrder:
    """Return the unsaved draft of a row. Raises RuleBroken when there is no such symbol."""
    terms = row.terms
    assert terms is not None
    assert terms.stop is not None
    assert terms.target is not None
    assert row.side is not None
    return services.trio_draft(
        account=account,
        symbol=services.symbol_get(account.environment, row.symbol),
        side=row.side,
        quantity=row.quantity,
        entry_type=terms.entry_type,
        price=terms.price,
        trigger_price=terms.trigger,
        time_in_force=terms.time_in_force,
        stop_loss=terms.stop.value,
        take_profit=terms.target.value,
        protection=terms.protection,
        source=f"{Origin.FILE.prefix}:{SOURCE}",
    )


def _token(file: TrioFile, rows: Sequence[PreviewRow]) -> str:
    """Stand for a file and what would be placed of it."""
    shown = [
        [row.row.number, None if row.draft is None else spec_shown(row.draft), bool(row.problems)]
        for row in rows
    ]
    return hashlib.sha256(json.dumps([file.digest, shown], sort_keys=True).encode()).hexdigest()
