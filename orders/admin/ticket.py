"""The order form as a ticket: it answers while one types, and what is sent twice makes one trio.

A form carries a token from when it was opened. The trio it makes has the token in its story; the same form sent again, by
a second click or from a second tab, shows that trio.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import ExchangeAccount
from orders.admin.ticket_preview import ticket_context
from orders.admin.trio_desk import ticket_chart
from orders.exchange_data.clock import db_now
from orders.models import Symbol, TrioEvent, TrioOrder
from orders.story import note

if TYPE_CHECKING:
    MixinBase = admin.ModelAdmin[TrioOrder]
else:
    MixinBase = object

NUMBER: Final = re.compile(r"[0-9]{1,18}")
TOKEN: Final = re.compile(r"[0-9a-f]{32}")
KEPT_FOR: Final = timedelta(days=2)
DRAFTING: Final = 0x7472_6466  # the family of our advisory locks on forms that are being saved
LOCK: Final = "SELECT pg_advisory_xact_lock(%s, %s)"


class SentAlready(Exception):
    """This form was sent before: it made ``trio_id``."""

    def __init__(self, trio_id: int) -> None:
        super().__init__(trio_id)
        self.trio_id = trio_id


class TicketAdmin(MixinBase):
    """Mixed into the admin of trios."""

    def ticket_urls(self) -> list[URLPattern]:
        return [
            path("preview/", self.preview_view, name="orders_trioorder_preview"),
            path("bars/", self.bars_view, name="orders_trioorder_bars"),
        ]

    def ticket_of(self, request: HttpRequest) -> dict[str, str]:
        """Return what the form's page needs: its token stays the same while the form is being mended."""
        sent = request.POST.get("_ticket", "")
        token = sent if TOKEN.fullmatch(sent) else uuid.uuid4().hex
        return {
            "token": token,
            "url": reverse("admin:orders_trioorder_preview"),
            "bars": reverse("admin:orders_trioorder_bars"),
        }

    # --- the answer while one types ---

    @property
    def preview_view(self) -> Callable[..., HttpResponse]:
        return require_POST(self._preview)

    def _preview(self, request: HttpRequest) -> HttpResponse:
        """Answer with what the form comes to, as a fragment of HTML. Saves nothing."""
        may = self.has_add_permission(request) or self.has_change_permission(request)
        if not (self.admin_site.has_permission(request) and may):
            return HttpResponse("You may not add trios.", status=403)
        number = request.POST.get("_preview_number", "")
        form = self.get_form(request)(request.POST)
        context = ticket_context(form, number=number if number.isascii() and number.isdigit() else "0")
        return HttpResponse(render_to_string("admin/orders/trioorder/preview.html", context))

    # --- the picture beside the form ---

    @property
    def bars_view(self) -> Callable[..., HttpResponse]:
        return require_safe(self._bars)

    def _bars(self, request: HttpRequest) -> HttpResponse:
        """Answer with the bars of a symbol as the account's exchange has them. Saves nothing."""
        may = self.has_add_permission(request) or self.has_change_permission(request)
        if not (self.admin_site.has_permission(request) and may):
            return HttpResponse("You may not add trios.", status=403)
        account, symbol = (request.GET.get(name, "") for name in ("account", "symbol"))
        if not (NUMBER.fullmatch(account) and NUMBER.fullmatch(symbol)):
            return HttpResponse("Which account and symbol?", status=400)
        environment = ExchangeAccount.objects.filter(pk=account).values_list("environment", flat=True).first()
        found = Symbol.objects.filter(pk=symbol, environment=environment).first()
        if found is None or environment is None:
            return HttpResponse("There is no such symbol on that account's exchange.", status=404)
        return JsonResponse(ticket_chart(environment, found))

    # --- one form, one trio ---

    def save_once(self, request: HttpRequest, trio: TrioOrder) -> None:
        """Save a new draft. Raises SentAlready when its form made one before. Needs a transaction."""
        token = request.POST.get("_ticket", "")
        if not TOKEN.fullmatch(token):
            trio.save()
            return
        with connection.cursor() as cursor:  # the second waits for the first, and then sees what it made
            cursor.execute(
                LOCK, [DRAFTING, int.from_bytes(hashlib.sha256(token.encode()).digest()[:3], "big")]
            )
        now = db_now()
        made = TrioEvent.objects.filter(
            trio__created_by_id=request.user.pk,
            trio__created_at__gt=now - KEPT_FOR,
            kind="draft",
            data__ticket=token,
        ).first()
        if made is not None:
            raise SentAlready(made.trio_id)
        trio.save()
        by = request.user.get_username()
        note(trio, "draft", f"Draft made by {by}.", at=now, by=by, ticket=token)

    def sent_already(self, request: HttpRequest, trio_id: int) -> HttpResponse:
        messages.info(
            request,
            f"This form was already sent: it made trio #{trio_id}, shown here. Nothing was added. For another one "
            "open a new form.",
        )
        return HttpResponseRedirect(reverse("admin:orders_trioorder_change", args=[trio_id]))

    if TYPE_CHECKING:

        def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any: ...
