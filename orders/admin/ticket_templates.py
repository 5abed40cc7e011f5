"""Templates on the order form: kept from what is typed, chosen above the form, removed beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from accounts.models import ExchangeAccount
from orders.domain.errors import RuleBroken
from orders.models import Symbol, TicketTemplate, TrioOrder
from orders.ticket_templates import TERMS, template_save

if TYPE_CHECKING:
    MixinBase = admin.ModelAdmin[TrioOrder]
else:
    MixinBase = object


@dataclass(frozen=True, slots=True)
class Choice:
    """One template as it is offered: its words say what it is about."""

    template: TicketTemplate
    words: str
    chosen: bool


class TemplatesAdmin(MixinBase):
    """Mixed into the admin of trios."""

    def templates_urls(self) -> list[URLPattern]:
        def guarded(view: Callable[..., HttpResponse]) -> Any:
            return self.admin_site.admin_view(require_POST(view))

        return [
            path("templates/save/", guarded(self._save), name="orders_ticket_template_save"),
            path(
                "templates/<int:template_id>/remove/",
                guarded(self._remove),
                name="orders_ticket_template_remove",
            ),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin the form with what a template says; what is not there any more is left out, and said."""
        chosen = _asked(request)
        if chosen is None:
            return super().get_changeform_initial_data(request)
        return {name: text for name, text in chosen.terms.items() if name in TERMS and not _gone(name, text)}

    def templates_of(self, request: HttpRequest) -> list[Choice]:
        chosen = _asked(request)
        if chosen is not None and request.method == "GET":
            for name in ("account", "symbol"):
                if name in chosen.terms and _gone(name, chosen.terms[name]):
                    messages.warning(
                        request,
                        f"The {name} of “{chosen}” no longer exists or is switched off: choose another.",
                    )
        templates = list(TicketTemplate.objects.all())
        symbols = dict(
            Symbol.objects.filter(
                pk__in=[text for t in templates if (text := t.terms.get("symbol", "")).isdigit()]
            ).values_list("pk", "symbol")
        )
        return [Choice(found, _words(found, symbols), found == chosen) for found in templates]

    def _save(self, request: HttpRequest) -> HttpResponse:
        self._allowed(request)
        back = reverse("admin:orders_trioorder_add")
        try:
            saved = template_save(
                request.POST.get("name", ""),
                {name: request.POST.get(f"term-{name}", "") for name in TERMS},
                by=request.user.get_username(),
            )
        except RuleBroken as broken:
            messages.error(request, str(broken))
            return HttpResponseRedirect(back)
        messages.success(
            request, f"“{saved}” is saved as a template, and fills this form now. Nothing is placed."
        )
        return HttpResponseRedirect(f"{back}?{urlencode({'template': saved.pk})}")

    def _remove(self, request: HttpRequest, template_id: int) -> HttpResponse:
        self._allowed(request)
        found = TicketTemplate.objects.filter(pk=template_id).first()
        if found is None:
            raise Http404("There is no such template.")
        found.delete()
        messages.success(request, f"The template “{found}” is removed.")
        return HttpResponseRedirect(reverse("admin:orders_trioorder_add"))

    @staticmethod
    def _allowed(request: HttpRequest) -> None:
        if not request.user.has_perm("orders.add_trioorder"):
            raise PermissionDenied("You may not add trios, so you may not change their templates.")

    if TYPE_CHECKING:

        def has_add_permission(self, request: Any) -> bool: ...


def _asked(request: HttpRequest) -> TicketTemplate | None:
    asked = request.GET.get("template", "")
    if not asked.isascii() or not asked.isdigit() or len(asked) > 18:
        return None
    return TicketTemplate.objects.filter(pk=int(asked)).first()


def _gone(name: str, text: str) -> bool:
    if name not in ("account", "symbol"):
        return False
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        return True
    rows = ExchangeAccount.objects.filter(is_active=True) if name == "account" else Symbol.objects.all()
    return not rows.filter(pk=int(text)).exists()


def _words(template: TicketTemplate, symbols: dict[int, str]) -> str:
    terms = template.terms
    symbol = terms.get("symbol", "")
    parts = [
        terms.get("side", ""),
        terms.get("quantity", ""),
        symbols.get(int(symbol), "") if symbol.isdigit() else "",
        f"stop {terms['stop_loss']}" if "stop_loss" in terms else "",
        f"target {terms['take_profit']}" if "take_profit" in terms else "",
    ]
    return f"{' '.join(part for part in parts if part)}; saved by {template.saved_by}"
