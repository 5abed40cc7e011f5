"""Notes and tags on a trio's page: two small forms beneath it, which work without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from orders.domain.errors import RuleBroken
from orders.domain.tags import tags_text
from orders.models import TrioNote, TrioOrder
from orders.remarks import NOTE_MAX, tags_known, tags_of, trio_note_add, trio_tags_set

if TYPE_CHECKING:
    MixinBase = admin.ModelAdmin[TrioOrder]
else:
    MixinBase = object

OFFERED_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Remarks:
    """What people said about a trio, and what the forms begin with: what was refused is kept to be mended."""

    tags: Sequence[str]
    notes: Sequence[TrioNote]
    may_write: bool
    known: Sequence[str]
    tags_typed: str
    note_typed: str = ""
    tags_wrong: str = ""
    note_wrong: str = ""
    note_max: int = NOTE_MAX


class RemarksAdmin(MixinBase):
    """The addresses that the two forms post to."""

    def remarks_urls(self) -> list[URLPattern]:
        def guarded(view: Callable[..., HttpResponse]) -> Any:
            return self.admin_site.admin_view(require_POST(view))

        return [
            path("<int:trio_id>/tags/", guarded(self._tags), name="orders_trioorder_tags"),
            path("<int:trio_id>/notes/", guarded(self._note), name="orders_trioorder_notes"),
        ]

    def remarks_of(self, request: HttpRequest, trio: TrioOrder) -> Remarks:
        tags = tags_of([trio.pk]).get(trio.pk, [])
        wrong: dict[str, str] = request.session.pop(f"remarks {trio.pk}", {})
        return Remarks(
            tags=tags,
            notes=list(trio.notes.all()),
            may_write=self._may_write(request),
            known=tags_known(OFFERED_MAX),
            tags_typed=wrong.get("tags_typed", tags_text(tags)),
            note_typed=wrong.get("note_typed", ""),
            tags_wrong=wrong.get("tags_wrong", ""),
            note_wrong=wrong.get("note_wrong", ""),
        )

    @staticmethod
    def _may_write(request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_trioorder")

    def _tags(self, request: HttpRequest, trio_id: int) -> HttpResponse:
        trio, typed = self._asked(request, trio_id), request.POST.get("tags", "")
        try:
            tags = trio_tags_set(trio.pk, typed[:1000])
        except RuleBroken as broken:
            return self._refused(request, trio, {"tags_typed": typed[:1000], "tags_wrong": str(broken)})
        self.log_change(request, trio, f"Tags: {tags_text(tags) or 'none'}.")
        messages.success(
            request, f"{trio}: its tags are {tags_text(tags)}." if tags else f"{trio} has no tags."
        )
        return self._back(trio)

    def _note(self, request: HttpRequest, trio_id: int) -> HttpResponse:
        trio, typed = self._asked(request, trio_id), request.POST.get("note", "")
        try:
            trio_note_add(trio.pk, typed, by=request.user.get_username())
        except RuleBroken as broken:
            return self._refused(request, trio, {"note_typed": typed[:10_000], "note_wrong": str(broken)})
        self.log_change(request, trio, "A note was written.")
        messages.success(request, f"{trio}: the note is saved.")
        return self._back(trio)

    def _asked(self, request: HttpRequest, trio_id: int) -> TrioOrder:
        trio = TrioOrder.objects.select_related("symbol").filter(pk=trio_id).first()
        if trio is None:
            raise Http404("There is no such trio.")
        if not self._may_write(request):
            raise PermissionDenied("You may not add notes and tags to trios.")
        return trio

    def _refused(self, request: HttpRequest, trio: TrioOrder, wrong: dict[str, str]) -> HttpResponse:
        request.session[f"remarks {trio.pk}"] = wrong  # shown beside its field, once
        return self._back(trio)

    @staticmethod
    def _back(trio: TrioOrder) -> HttpResponse:
        page = reverse("admin:orders_trioorder_change", args=[trio.pk])
        return HttpResponseRedirect(f"{page}#remarks")
