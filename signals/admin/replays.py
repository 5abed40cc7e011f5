"""The pages of replays: what came of one, and two side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from infrastructure.admin_pages import ReadOnly
from signals.models import ReplayRun
from signals.replay_page import replay_page

if TYPE_CHECKING:
    Base = admin.ModelAdmin[ReplayRun]
else:

    class Base(ReadOnly, unfold.admin.ModelAdmin):
        pass


@admin.register(ReplayRun)
class ReplayRunAdmin(Base):
    """Looked at only: a replay is run by ``manage.py replay``."""

    list_display = ("name", "at", "by", "trios", "net", "drawdown", "short_hash")
    list_filter = ("code",)
    fields = ()
    change_form_template = "admin/signals/replayrun/change_form.html"

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}

    @display(description="Replay", ordering="pk")
    def name(self, run: ReplayRun) -> str:
        return str(run)

    @display(description="Trios")
    def trios(self, run: ReplayRun) -> str:
        return str(run.report["statistics"]["trios"])

    @display(description="Net")
    def net(self, run: ReplayRun) -> str:
        return str(run.report["statistics"]["net"])

    @display(description="Max drawdown")
    def drawdown(self, run: ReplayRun) -> str:
        return str(run.report["statistics"]["largest_drawdown"])

    @display(description="Hash", ordering="hash")
    def short_hash(self, run: ReplayRun) -> str:
        return run.hash[:16]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        other = None
        if (beside := request.GET.get("beside", "")).isdecimal() and len(beside) < 10:
            other = ReplayRun.objects.filter(pk=int(beside)).first()
        context = {
            **(extra_context or {}),
            "pages": [replay_page(each) for each in (run, other) if each is not None],
            "others": ReplayRun.objects.exclude(pk=run.pk).defer("report")[:20] if run else (),
        }
        return super().change_view(request, object_id, form_url, context)
