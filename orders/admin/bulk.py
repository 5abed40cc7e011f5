"""Bulk runs: what was asked of many trios at once, how far each of them is, and the button that stops the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe
from unfold.decorators import display

from orders import risk_gates
from orders.admin import columns
from orders.admin.forms import LABELS
from orders.admin.read_only import ReadOnlyAdmin
from orders.bulk import bulk_stop
from orders.domain.enums import BulkEnd, BulkVerb, LegState, Role, TrioState
from orders.models import BulkItem, BulkRun, TrioOrder

TITLES: Final = {
    BulkVerb.PLACE: "Place",
    BulkVerb.CANCEL: "Cancel the unfilled part",
    BulkVerb.CLOSE: "Close at market",
}
ON_ITS_WAY: Final = (TrioState.QUEUED, TrioState.PLACING)


@dataclass(frozen=True, slots=True)
class Row:
    """One trio of a run: how far it is, in words, and whether anything is still to come of it."""

    item: BulkItem
    trio: TrioOrder
    words: str
    colour: str
    settled: bool
    why: str = ""


@admin.register(BulkRun)
class BulkRunAdmin(ReadOnlyAdmin):
    list_display = ("name", "wanted", "wanted_by", "counts")
    ordering = ("-id",)
    wanted = columns.time("wanted_at", "Requested")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return any(request.user.has_perm(f"orders.{verb}_trioorder") for verb in ("view", "change"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkRun]:
        of = {end: Count("items", filter=Q(items__end=end)) for end in ("", *BulkEnd)}
        return BulkRun.objects.annotate(
            open=of[""], asked=of[BulkEnd.ASKED], refused=of[BulkEnd.REFUSED], back=of[BulkEnd.TAKEN_BACK]
        )

    @display(description="Run", ordering="id")
    def name(self, run: BulkRun) -> str:
        return f"#{run.pk} {TITLES[BulkVerb(run.verb)]}"

    @display(description="Trios")
    def counts(self, run: Any) -> str:
        parts = ((run.asked, "asked"), (run.refused, "refused"), (run.back, "taken back"), (run.open, "open"))
        stopped = f"; stopped by {run.stopped_by}" if run.stopped_at else ""
        return (", ".join(f"{count} {word}" for count, word in parts if count) or "none") + stopped

    def get_urls(self) -> list[URLPattern]:
        stop = path(
            "<int:run_id>/stop/", self.admin_site.admin_view(self.stop_view), name="orders_bulkrun_stop"
        )
        parts = path(
            "<int:run_id>/parts/", self.admin_site.admin_view(self.parts_view), name="orders_bulkrun_parts"
        )
        return [stop, parts, *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show how far a run is, from the rows alone: whoever opens it, whenever, sees the same."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied("Bulk runs are read-only. Nothing was changed.")
        if not self.has_view_permission(request):
            raise PermissionDenied("You may not see trios.")
        run = self.get_object(request, object_id or "")
        if run is None:
            raise Http404("There is no such run.")
        page = self._page(request, run)
        title = f"{TITLES[BulkVerb(run.verb)]}: bulk run {run.pk}"
        page |= {**self.admin_site.each_context(request), "title": title, "opts": self.opts}
        return TemplateResponse(request, "admin/orders/bulkrun/progress.html", page)

    @property
    def parts_view(self) -> Callable[..., HttpResponse]:
        return require_safe(self._parts)

    def _parts(self, request: HttpRequest, run_id: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied("You may not see trios.")
        page = self._page(request, self._run(run_id))
        return render(request, "admin/orders/bulkrun/parts.html", page)

    @property
    def stop_view(self) -> Callable[..., HttpResponse]:
        return require_POST(self._stop)

    def _stop(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Take back what is not begun; what lives stays protected."""
        run = self._run(run_id)
        if not self._may_stop(request, run):
            raise PermissionDenied(
                "You may not stop this run: that takes the permission it was started with."
            )
        bulk_stop(run.pk, by=request.user.get_username())
        back = run.items.filter(end=BulkEnd.TAKEN_BACK).count()
        messages.success(
            request,
            f"Stopped: {back} of {run.items.count()} were not started and are withdrawn. What had started continues.",
        )
        return HttpResponseRedirect(reverse("admin:orders_bulkrun_change", args=[run.pk]))

    @staticmethod
    def _run(run_id: int) -> BulkRun:
        run = BulkRun.objects.filter(pk=run_id).first()
        if run is None:
            raise Http404("There is no such run.")
        return run

    @staticmethod
    def _may_stop(request: HttpRequest, run: BulkRun) -> bool:
        return request.user.has_perm(f"orders.{run.verb.lower()}_trioorder")

    def _page(self, request: HttpRequest, run: BulkRun) -> dict[str, Any]:
        rows = rows_of(run)
        settled = sum(row.settled for row in rows)
        return {
            "run": run,
            "rows": rows,
            "count": len(rows),
            "settled": settled,
            "summary": summary(rows),
            "may_stop": self._may_stop(request, run) and any(_may_be_taken_back(run, row) for row in rows),
            "worker_alive": risk_gates.worker_alive(),
            "verb": TITLES[BulkVerb(run.verb)],
        }


def rows_of(run: BulkRun) -> list[Row]:
    """Return how far each trio of a run is: those that are not done first."""
    items = run.items.select_related("trio__account", "trio__symbol", "trio__slot").prefetch_related(
        "trio__legs"
    )
    return [_row(BulkVerb(run.verb), item) for item in items.order_by("id")]


def summary(rows: list[Row]) -> str:
    """Say how many of them came to what."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.words] = counts.get(row.words, 0) + 1
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def _may_be_taken_back(run: BulkRun, row: Row) -> bool:
    if run.verb == BulkVerb.PLACE and row.item.end == BulkEnd.ASKED:
        return row.trio.trio_state is TrioState.QUEUED and row.trio.cancel_wanted_at is None
    return not row.item.end and run.stopped_at is None


def _row(verb: BulkVerb, item: BulkItem) -> Row:
    trio = item.trio
    match item.end:
        case BulkEnd.REFUSED:
            field = item.refused_field
            label = f"{LABELS.get(field, field.replace('_', ' ').capitalize())}: " if field else ""
            return Row(item, trio, "refused", "danger", settled=True, why=f"{label}{item.refused_text}")
        case BulkEnd.TAKEN_BACK:
            return Row(item, trio, "taken back", "default", settled=True)
        case BulkEnd.ASKED:
            return _asked(verb, item, trio)
        case _:
            words = "not started" if item.begun_at is None else "being asked"
            return Row(item, trio, words, "info", settled=False)


def _asked(verb: BulkVerb, item: BulkItem, trio: TrioOrder) -> Row:
    state = trio.trio_state
    if trio.asked is not None:
        return Row(item, trio, "needs an answer", "warning", settled=True, why=trio.question)
    if verb is BulkVerb.PLACE:
        if state in ON_ITS_WAY:
            return Row(item, trio, "on its way", "info", settled=False)
        words = "placed" if trio.begun_at is not None and state is not TrioState.ROLLED_BACK else "not placed"
        colour = "success" if words == "placed" else "danger"
        return Row(item, trio, words, colour, settled=True, why=trio.reason)
    if verb is BulkVerb.CLOSE:
        if trio.is_over:
            return Row(item, trio, "closed", "success", settled=True, why=trio.reason)
        return Row(item, trio, "being closed", "info", settled=False)
    rests = any(Role(leg.role).opens and not LegState(leg.state).is_final for leg in trio.legs.all())
    if trio.is_over:
        return Row(item, trio, "cancelled", "success", settled=True, why=trio.reason)
    if state is TrioState.OPEN and not rests:
        return Row(item, trio, "filled, stays protected", "success", settled=True)
    return Row(item, trio, "being cancelled", "info", settled=False)
