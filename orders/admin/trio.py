"""The trio orders' pages: a draft is a form, everything after it a page that keeps itself fresh."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe
from unfold.decorators import display

from orders import selectors
from orders.admin import trio_page
from orders.admin.actions import TrioActions
from orders.admin.forms import TrioOrderForm
from orders.admin.panic import panic, progress, release
from orders.admin.proof import day_sheet, trio_sheet
from orders.admin.remarks import RemarksAdmin
from orders.admin.spreadsheet import csv_answer, xlsx_answer
from orders.admin.statistics import statistics
from orders.admin.ticket import SentAlready, TicketAdmin
from orders.admin.ticket_templates import TemplatesAdmin
from orders.admin.trio_desk import chart_of
from orders.admin.trio_list import (
    AccountFilter,
    CheapPaginator,
    ClosedFilter,
    EnvironmentFilter,
    LifeFilter,
    MadeFilter,
    OutcomeFilter,
    ResultFilter,
    SideFilter,
    SourceFilter,
    SymbolFilter,
    TagFilter,
    exported,
    figures_put,
    searched,
    sorted_cheaply,
)
from orders.badges import SIDE_COLOURS, STATE_COLOURS, age, result_colour, utc_text
from orders.desk import OpenTrio
from orders.domain.enums import TrioState
from orders.domain.rounding import plain, signed
from orders.models import TrioOrder
from orders.placement.uncovered import uncovered_now
from orders.templatetags.trios import money_signed, pnl_class

if TYPE_CHECKING:
    Base = admin.ModelAdmin[TrioOrder]
else:
    Base = unfold.admin.ModelAdmin

COLOURS = ("success", "danger", "warning", "default")
STOP_POLLING = 286  # htmx's own status: swap this in, then ask no more
DRAFT_FIELDSETS: Any = (
    ("What", {"fields": (("account", "symbol"), ("side", "quantity"))}),
    ("Entry", {"fields": ("entry_type", ("trigger_price", "price"), ("rungs", "time_in_force"))}),
    ("Protection", {"fields": (("stop_loss", "take_profit"), ("part_targets", "follow"))}),
    (
        "Details",
        {
            "fields": (
                ("position_side", "protection"),
                "target_policy",
                "good_till",
                "flat_at",
                "hold_seconds",
            )
        },
    ),
)


class NotADraft(Exception):
    """The draft was placed or withdrawn while somebody had its form open."""


@admin.register(TrioOrder)
class TrioOrderAdmin(TicketAdmin, TemplatesAdmin, TrioActions, RemarksAdmin, Base):
    form = TrioOrderForm
    fieldsets = DRAFT_FIELDSETS
    autocomplete_fields = ("symbol",)
    list_display = (
        "name",
        "symbol_name",
        "side_badge",
        "quantity_plain",
        "entry_text",
        "stop_text",
        "target_text",
        "state_badge",
        "result_badge",
        "net_pnl_text",
        "r_text",
        "uncovered_text",
        "age_text",
    )
    list_filter = (
        LifeFilter,
        OutcomeFilter,
        ClosedFilter,
        MadeFilter,
        SideFilter,
        AccountFilter,
        EnvironmentFilter,
        SymbolFilter,
        SourceFilter,
        TagFilter,
        ResultFilter,
        "state",
    )
    search_fields = ("=id",)  # what is searched: ``trio_list.searched``
    search_help_text = "Any id, symbol, account, tag, note:word"
    paginator = CheapPaginator
    list_before_template = "admin/orders/trioorder/list_before.html"
    list_per_page = 50
    list_fullwidth = True
    show_full_result_count = False
    compressed_fields = False

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}
        js = (
            "orders/dialogs.js",
            "orders/trio_form.js",
            "orders/ticket.js",
            "orders/age.js",
            "orders/live.js",
            "orders/chart.js",
            "orders/keys.js",
            "orders/template_save.js",
        )

    # --- what may be done ---

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or obj.state == TrioState.DRAFT)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a trio and its journal are the record; a draft is withdrawn instead

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the list that reads the results of all its trios at once."""
        usual = super().get_changelist(request, **kwargs)

        class WithResults(usual):  # type: ignore[misc, valid-type]
            result_list: list[Any]
            queryset: QuerySet[Any]

            def get_results(self, request: HttpRequest) -> None:
                # Of what is shown alone: a file, or a verb on all, has every trio that fits.
                self.queryset = sorted_cheaply(self.queryset)
                super().get_results(request)
                self.result_list = list(self.result_list)
                figures_put(self.result_list)

        return WithResults

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrioOrder]:
        return selectors.trios_listed().select_related("slot").order_by(*(self.get_ordering(request) or ()))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        # Filters of ours read them; addresses that people have kept go on leading here.
        ours = ("account__id__exact", "account__environment__exact")
        return lookup in ours or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TrioOrder], search_term: str
    ) -> tuple[QuerySet[TrioOrder], bool]:
        return searched(queryset, search_term), False

    # --- the draft's form ---

    def get_form(
        self, request: HttpRequest, obj: TrioOrder | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        for name in ("account", "symbol"):
            if name in form.base_fields:
                widget = form.base_fields[name].widget
                for offer in ("can_add_related", "can_change_related", "can_view_related"):
                    setattr(widget, offer, False)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: TrioOrder | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return DRAFT_FIELDSETS
        return ()  # the panel above shows it all, with plain numbers

    def save_model(self, request: HttpRequest, obj: TrioOrder, form: Any, change: bool) -> None:
        """Save a draft and nothing but its fields: its state belongs to the verbs."""
        if not change:
            obj.source, obj.created_by = "admin", request.user  # type: ignore[assignment]
            self.save_once(request, obj)
            return
        locked = TrioOrder.objects.select_for_update().get(pk=obj.pk)
        if locked.trio_state is not TrioState.DRAFT:
            raise NotADraft(
                f"{locked} is {locked.state} now: it was placed or withdrawn while its form was open. "
                "Nothing was saved."
            )
        obj.save(update_fields=[*TrioOrder.SPEC_FIELDS, "updated_at"])

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        # Saving stays on the page anyway.
        context = {"show_save_and_continue": False, **(extra_context or {})}
        if object_id is None:
            context["ticket"] = self.ticket_of(request)
            context["templates"] = self.templates_of(request)
            context["saves_template"] = True
        if object_id is not None and object_id.isdigit():
            trio = self.get_object(request, object_id)
            if trio is not None and self.has_view_permission(request, trio):
                context["panel"] = self._panel(request, trio)
                context["remarks"] = self.remarks_of(request, trio)
                if trio.trio_state is not TrioState.DRAFT:
                    context["chart_url"] = reverse("admin:orders_trioorder_chart", args=[trio.pk])
                    context["chart_last"] = trio.asked is not None  # what asks a person comes first
                if self.has_change_permission(request, trio):
                    context["ticket"] = self.ticket_of(request)
        try:
            return super().changeform_view(request, object_id, form_url, context)
        except SentAlready as error:
            return self.sent_already(request, error.trio_id)
        except NotADraft as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(reverse("admin:orders_trioorder_change", args=[object_id]))

    def response_add(self, request: HttpRequest, obj: TrioOrder, post_url_continue: Any = None) -> Any:
        """Stay on the new draft: the next thing to do is to validate or place it."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        messages.success(request, f"{obj} is saved as a draft. Validate it, or place it.")
        return HttpResponseRedirect(reverse("admin:orders_trioorder_change", args=[obj.pk]))

    def response_change(self, request: HttpRequest, obj: TrioOrder) -> Any:
        if "_addanother" in request.POST:
            return super().response_change(request, obj)
        messages.success(request, f"{obj} is saved.")
        return HttpResponseRedirect(reverse("admin:orders_trioorder_change", args=[obj.pk]))

    # --- the panel that keeps itself fresh ---

    def get_urls(self) -> list[URLPattern]:
        live = path("<int:trio_id>/live/", self.live_view, name="orders_trioorder_live")
        exports = [
            path("export/", self.admin_site.admin_view(self.export_view), name="orders_trioorder_export"),
            path(
                "export/xlsx/",
                self.admin_site.admin_view(self.export_xlsx_view),
                name="orders_trioorder_export_xlsx",
            ),
        ]
        stats = path("statistics/", self.admin_site.admin_view(self._statistics), name="orders_statistics")
        chart = path(
            "<int:trio_id>/chart/", self.admin_site.admin_view(self.chart_view), name="orders_trioorder_chart"
        )
        sheets = [
            path(
                "<int:trio_id>/proof/", self.admin_site.admin_view(trio_sheet), name="orders_trioorder_proof"
            ),
            path("proof/", self.admin_site.admin_view(day_sheet), name="orders_proof_day"),
        ]
        panics = [
            path("panic/", self.admin_site.admin_view(self._panic), name="orders_panic"),
            path(
                "panic/progress/",
                self.admin_site.admin_view(self._panic_progress),
                name="orders_panic_progress",
            ),
            path("panic/release/", self.admin_site.admin_view(release), name="orders_panic_release"),
        ]
        own = [live, chart, *exports, stats, *sheets, *panics]
        return [*own, *self.ticket_urls(), *self.templates_urls(), *self.remarks_urls(), *super().get_urls()]

    def _panic(self, request: HttpRequest) -> HttpResponseBase:
        return panic(request, self.admin_site.each_context)

    def _panic_progress(self, request: HttpRequest) -> HttpResponseBase:
        return progress(request, self.admin_site.each_context)

    @property
    def chart_view(self) -> Callable[..., HttpResponse]:
        return require_safe(self._chart)

    def _chart(self, request: HttpRequest, trio_id: int) -> HttpResponse:
        """Answer with what the picture of a trio is drawn from."""
        trio = self.get_object(request, str(trio_id))
        if trio is None:
            raise Http404
        if not self.has_view_permission(request, trio):
            raise PermissionDenied("You may not see this trio.")
        return JsonResponse(chart_of(trio) | {"moves": self._moves(request, trio)})

    def _moves(self, request: HttpRequest, trio: TrioOrder) -> dict[str, str]:
        """Return where the question stands that moves a level, for those levels that this person may move now."""
        if not self.has_move_permission(request):
            return {}
        offered = {"stop": "move_stop", "target": "move_target"}
        verbs = self.verbs_for(trio)
        return {
            kind: reverse(f"admin:orders_trioorder_{verb}", args=[trio.pk])
            for kind, verb in offered.items()
            if verb in verbs
        }

    def _statistics(self, request: HttpRequest) -> HttpResponseBase:
        return statistics(request, self.admin_site.each_context)

    @property
    def export_view(self) -> Callable[..., HttpResponseBase]:
        return require_safe(partial(self._export, csv_answer))

    @property
    def export_xlsx_view(self) -> Callable[..., HttpResponseBase]:
        return require_safe(partial(self._export, xlsx_answer))

    def _export(self, answer: Callable[..., HttpResponseBase], request: HttpRequest) -> HttpResponseBase:
        """Answer with the trios of the list, narrowed as it is, as a file for a spreadsheet."""
        if not self.has_view_permission(request):
            raise PermissionDenied("You may not see trios.")
        try:
            found = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:  # as the list itself answers what it cannot be narrowed by
            return redirect(reverse("admin:orders_trioorder_changelist") + f"?{ERROR_FLAG}=1")
        return answer(exported(found, timezone.get_current_timezone()), "trios")

    @property
    def live_view(self) -> Callable[..., HttpResponse]:
        return require_safe(self._live)

    def _live(self, request: HttpRequest, trio_id: int) -> HttpResponse:
        """Answer the panel anew, 204 while it shows what it shows already; asked every two seconds."""
        if not self.admin_site.has_permission(request):
            # A redirect would put the login form into the panel: let the whole page ask for it.
            return HttpResponse(headers={"HX-Refresh": "true"}, status=STOP_POLLING)
        trio = self.get_object(request, str(trio_id))
        if trio is None:
            raise Http404
        if not self.has_view_permission(request, trio):
            return HttpResponse("You may not see this trio.", status=403)
        if request.GET.get("was") == TrioState.DRAFT and trio.state != TrioState.DRAFT:
            return HttpResponse(headers={"HX-Refresh": "true"}, status=STOP_POLLING)  # the form has to go
        panel = self._panel(request, trio)
        if request.GET.get("seen") == panel["mark"]:
            return HttpResponse(status=204)
        return HttpResponse(panel["html"])

    def _panel(self, request: HttpRequest, trio: TrioOrder) -> dict[str, str]:
        page = trio_page.trio_page(trio.pk)
        names = self.verbs_for(page.trio)
        allowed = self._filter_unfold_actions_by_permissions(
            request,
            [self.get_unfold_action(name) for name in names],
            str(trio.pk),
        )
        verbs = [
            {
                "name": verb.action_name.removeprefix("orders_trioorder_").replace("_", "-"),
                "title": verb.description,
                "icon": verb.icon,
                "variant": verb.variant.value,
                "path": reverse(f"admin:{verb.action_name}", args=[trio.pk]),
            }
            for verb in allowed
        ]
        body = render_to_string("admin/orders/trioorder/panel.html", {"page": page, "verbs": verbs})
        mark = hashlib.sha256(body.encode()).hexdigest()[:16]
        url = f"{reverse('admin:orders_trioorder_live', args=[trio.pk])}?seen={mark}&was={page.trio.state}"
        html = render_to_string(
            "admin/orders/trioorder/live.html", {"body": body, "url": url, "polls": not page.trio.is_over}
        )
        return {"html": html, "mark": mark}

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        return []  # they sit in the panel, which knows the state it shows

    # --- the list's columns ---

    @display(description="Trio", ordering="id")
    def name(self, trio: Any) -> str:
        tags = format_html_join("", '<span class="trio-tag">{}</span>', ((name,) for name in trio.tag_names))
        if trio.unprotected_until is not None and not trio.is_over:
            return format_html(
                '<span class="trio-name">#{} <span class="material-symbols-outlined trio-bad" title="{}">gpp_bad</span></span> {}',
                trio.pk,
                selectors.unprotected_sentence(trio),
                tags,
            )
        if trio.asked is None:
            return format_html("#{} {}", trio.pk, tags)
        return format_html(
            '<span class="trio-name">#{} <span class="material-symbols-outlined trio-asks" title="{}">help</span></span> {}',
            trio.pk,
            trio.question,
            tags,
        )

    @display(description="Symbol", ordering="symbol__symbol")
    def symbol_name(self, trio: TrioOrder) -> str:
        colour = {"PAPER": "paper", "TESTNET": "testnet", "LIVE": "live"}[trio.account.environment]
        return format_html(
            '<b>{}</b><div class="trio-name">{} <span class="trio-env trio-env--{}">{}</span></div>',
            trio.symbol.symbol,
            trio.account.name,
            colour,
            trio.account.environment,
        )

    @display(description="Side", ordering="side", label=SIDE_COLOURS)
    def side_badge(self, trio: TrioOrder) -> str:
        return trio.side

    @display(description="Quantity", ordering="quantity")
    def quantity_plain(self, trio: Any) -> str:
        whole, filled = plain(trio.quantity), trio.entry_filled
        return f"{plain(filled)} of {whole}" if filled and filled != trio.quantity else whole

    @display(description="Entry", ordering="price")
    def entry_text(self, trio: TrioOrder) -> str:
        if trio.trigger_price is not None:
            return f"stop {plain(trio.trigger_price)}"
        return "market" if trio.price is None else plain(trio.price)

    @display(description="Stop", ordering="stop_loss")
    def stop_text(self, trio: TrioOrder) -> str:
        return "–" if trio.stop_loss is None else plain(trio.stop_loss)

    @display(description="Target", ordering="take_profit")
    def target_text(self, trio: TrioOrder) -> str:
        return "–" if trio.take_profit is None else plain(trio.take_profit)

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def state_badge(self, trio: TrioOrder) -> tuple[str, str]:
        return trio.state, trio.state.replace("_", " ")

    @display(description="Result", ordering="result", label={name: name for name in COLOURS})
    def result_badge(self, trio: Any) -> tuple[str, str] | None:
        if not trio.result:
            return None
        nets = [part.net for part in trio.figures.parts]
        return result_colour(trio.result, nets, trio.figures.booked), trio.result.replace("_", " ")

    @display(description="Net PnL")
    def net_pnl_text(self, trio: Any) -> str:
        row: OpenTrio = trio.figures
        if row.position and row.net is not None:
            return format_html(
                '<div class="trio-name"><b class="{}">{}</b> {}</div><small>if closed now</small>',
                pnl_class(row.net),
                money_signed(row.net),
                row.asset,
            )
        if not row.parts:
            return "–"
        rows = ((pnl_class(part.net), signed(part.net), part.asset) for part in row.parts)
        return format_html_join("", '<div><b class="{}">{}</b> {}</div>', rows)

    @display(description="R")
    def r_text(self, trio: Any) -> str:
        row: OpenTrio = trio.figures
        r = row.r if row.position else row.booked_r
        return "–" if r is None else format_html('<span class="{}">{}</span>', pnl_class(r), signed(r))

    @display(description="Uncovered", ordering="uncovered_ms")
    def uncovered_text(self, trio: TrioOrder) -> str:
        # Whose gap is open now, it grows with each look; the others' figure is final until the next one opens.
        ms = trio.uncovered_ms if trio.uncovered_known_at is None else uncovered_now(trio).total
        return f"{ms} ms" if trio.holds_slot or trio.ended_at or ms else "–"

    @display(description="Age", ordering="created_at")
    def age_text(self, trio: Any) -> str:
        old = age(trio.queued_at or trio.created_at)
        if trio.closed_at is None:
            return old
        closed = f"{timezone.localtime(trio.closed_at):%Y-%m-%d %H:%M}"
        return format_html(
            '{}<br><small>closed <time title="{}">{}</time></small>', old, utc_text(trio.closed_at), closed
        )

    if TYPE_CHECKING:
        # unfold is untyped; these come from its ModelAdmin.
        _filter_unfold_actions_by_permissions: Any
        get_unfold_action: Any
