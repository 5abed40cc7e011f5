"""The verbs of a trio's page and list. Each is a POST behind a dialog; services do the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant

from infrastructure import job_queue
from orders import risk_gates, services
from orders.admin.forms import LABELS, VerbForm
from orders.domain.enums import TrioState
from orders.domain.errors import IllegalTransition, OrdersError, RuleBroken
from orders.domain.operator_questions import Choice
from orders.domain.rounding import plain
from orders.models import TrioOrder

if TYPE_CHECKING:
    MixinBase = admin.ModelAdmin[TrioOrder]
else:
    MixinBase = object

Told = str
Verb = Callable[[TrioOrder, str], Told]

SELECTION_MAX: Final = 100
ANSWERS: Final = {Choice.LEAVE: "answer", Choice.CLOSE: "answer_close"}
QUEUE_SILENT: Final = (
    "The queue (Redis) does not answer. What protects and what ends a trio goes on without it; "
    "placing waits until it is back, and a trio not placed within its time expires."
)


# --- what each verb does: the service, and what is said afterwards ------------------------------


def validate(trio: TrioOrder, by: str) -> Told:
    """Ask the exchange's rules and our gates without placing anything."""
    if trio.trio_state is not TrioState.DRAFT:
        raise IllegalTransition(
            f"Trio {trio.pk} was placed already (it is {trio.state}): nothing to validate."
        )
    reading = services.trio_check(trio)
    mark = f" Mark price: {plain(reading.mark_price)}." if reading.mark_price is not None else ""
    worker = "" if risk_gates.worker_alive() else f" But: {risk_gates.NO_WORKER}"
    return f"{trio}: would be accepted.{mark}{worker}"


def place(trio: TrioOrder, by: str) -> Told:
    services.trio_queue(trio_id=trio.pk, by=by)
    return f"{trio}: queued for placement."


def cancel(trio: TrioOrder, by: str) -> Told:
    after = services.trio_cancel(trio_id=trio.pk, by=by)
    if after.is_over:
        return f"{trio}: the draft is withdrawn."
    return f"{trio}: cancel asked for; what is unfilled is withdrawn, what is filled stays protected."


def close(trio: TrioOrder, by: str) -> Told:
    after = services.trio_close(trio_id=trio.pk, by=by)
    if after.is_over:
        return f"{trio}: the draft is withdrawn."
    return f"{trio}: close at market asked for."


def refresh(trio: TrioOrder, by: str) -> Told:
    services.trio_refresh(trio_id=trio.pk, by=by)
    return f"{trio}: everything of it that lives is looked up again."


def answer(trio: TrioOrder, by: str) -> Told:
    services.trio_answer(trio_id=trio.pk, by=by)
    return f"{trio}: left as it is; it goes on."


def answer_close(trio: TrioOrder, by: str) -> Told:
    services.trio_answer(trio_id=trio.pk, by=by, choice=Choice.CLOSE)
    return f"{trio}: answered; close at market asked for."


def said(error: OrdersError) -> str:
    """Return the sentence of a refusal, naming the field to mend."""
    if isinstance(error, RuleBroken):
        return f"{LABELS.get(error.field, error.field.replace('_', ' ').capitalize())}: {error}"
    return str(error)


def go(request: HttpRequest, url: str) -> HttpResponse:
    """Send the visitor to a page; htmx, which posts the dialogs, swallows a 302."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def _dialog(title: str, description: str, button: str) -> dict[str, Any]:
    return {
        "title": title,
        "description": description,
        "form_submit_text": button,
        "form_class": VerbForm,
    }


class VerbsMixin(MixinBase):
    """Dialogs on the page, and the same verbs on a selection of the list."""

    actions_detail: ClassVar = ["place", "validate", "close", "cancel", "refresh", "answer", "answer_close"]
    actions = ("place_selected", "cancel_selected", "close_selected", "refresh_selected")

    # Permissions are about the person; whether a verb applies to the trio is for the services to say.

    def has_place_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.place_trioorder")

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.cancel_trioorder")

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.close_trioorder")

    def has_refresh_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_trioorder")

    def has_answer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_trioorder")

    def has_validate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return any(request.user.has_perm(f"orders.{verb}_trioorder") for verb in ("view", "change"))

    # --- on a trio's page ---

    @action(
        description="Place",
        url_path="place",
        permissions=["place"],
        icon="send",
        variant=ActionVariant.PRIMARY,
        dialog=_dialog(
            "Place this trio?",
            "It is checked against the exchange's rules and then sent. A trio is placed once.",
            "Place now",
        ),
    )
    def place(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, place)

    @action(
        description="Validate",
        url_path="validate",
        permissions=["validate"],
        icon="rule",
        dialog=_dialog(
            "Validate this trio?",
            "Asks for the mark price and checks every rule; places nothing.",
            "Validate",
        ),
    )
    def validate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, validate)

    @action(
        description="Close at market",
        url_path="close",
        permissions=["close"],
        icon="logout",
        variant=ActionVariant.DANGER,
        dialog=_dialog(
            "Close at market?",
            "What is filled leaves at the market's price now; what is unfilled is withdrawn.",
            "Close now",
        ),
    )
    def close(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, close)

    @action(
        description="Cancel",
        url_path="cancel",
        permissions=["cancel"],
        icon="undo",
        dialog=_dialog(
            "Cancel what is unfilled?",
            "Withdraws the unfilled part. What is filled stays open and keeps its stop-loss and take-profit.",
            "Cancel it",
        ),
    )
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, cancel)

    @action(
        description="Refresh",
        url_path="refresh",
        permissions=["refresh"],
        icon="sync",
        dialog=_dialog(
            "Look everything up again?",
            "Reads every order of this trio that lives from the exchange; changes nothing there.",
            "Refresh",
        ),
    )
    def refresh(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, refresh)

    @action(
        description="Leave it as it is",
        url_path="answer",
        permissions=["answer"],
        icon="done",
        dialog=_dialog(
            "Leave it as it is?",
            "The question is answered with “as it is”, and the trio goes on.",
            "Leave it",
        ),
    )
    def answer(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, answer)

    @action(
        description="Answer: close at market",
        url_path="answer-close",
        permissions=["close"],
        icon="task_alt",
        variant=ActionVariant.DANGER,
        dialog=_dialog(
            "Answer with “close at market”?",
            "The question is answered: what is filled leaves at the market's price now; what is unfilled is withdrawn.",
            "Close now",
        ),
    )
    def answer_close(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._told(request, object_id, answer_close)

    def _told(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """Do it, say what came of it, and go back to the trio's page."""
        trio: TrioOrder | None = self.get_object(request, object_id)
        if trio is None:
            messages.error(request, "This trio does not exist (any more).")
            return go(request, reverse("admin:orders_trioorder_changelist"))
        self._do(request, trio, verb)
        return go(request, reverse("admin:orders_trioorder_change", args=[trio.pk]))

    def _do(self, request: HttpRequest, trio: TrioOrder, verb: Verb) -> bool:
        try:
            sentence = verb(trio, request.user.get_username())
        except OrdersError as error:
            messages.error(request, f"{trio}: {said(error)}")
            return False
        messages.success(request, sentence)
        if verb is not validate:
            self.log_change(request, trio, sentence)
            if not job_queue.answering():
                messages.warning(request, QUEUE_SILENT)
        return True

    def verbs_for(self, trio: TrioOrder) -> list[str]:
        """Return the verbs that make sense for a trio as it is now."""
        if trio.trio_state is TrioState.DRAFT:
            return ["place", "validate", "cancel"]
        found = [] if trio.is_over else ["close", "cancel", "refresh"]
        if (question := trio.asked) is None:
            return found
        # Its own way of closing is among the answers: two buttons for one thing would only puzzle.
        answers = [ANSWERS[choice] for choice in question.choices]
        return [*answers, *(verb for verb in found if f"answer_{verb}" not in answers)]

    # --- on a selection of the list: the first POST asks, the second does ---

    @admin.action(description="Place", permissions=["place"])
    def place_selected(self, request: HttpRequest, queryset: QuerySet[TrioOrder]) -> HttpResponse:
        return self._selected(request, queryset, "place_selected", "Place", place)

    @admin.action(description="Cancel what is unfilled", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[TrioOrder]) -> HttpResponse:
        return self._selected(request, queryset, "cancel_selected", "Cancel what is unfilled of", cancel)

    @admin.action(description="Close at market", permissions=["close"])
    def close_selected(self, request: HttpRequest, queryset: QuerySet[TrioOrder]) -> HttpResponse:
        return self._selected(request, queryset, "close_selected", "Close at market", close)

    @admin.action(description="Refresh", permissions=["refresh"])
    def refresh_selected(self, request: HttpRequest, queryset: QuerySet[TrioOrder]) -> HttpResponse:
        return self._selected(request, queryset, "refresh_selected", "Look up again", refresh)

    def _selected(
        self, request: HttpRequest, queryset: QuerySet[TrioOrder], name: str, title: str, verb: Verb
    ) -> HttpResponse:
        trios = list(queryset.order_by("id")[: SELECTION_MAX + 1])
        if len(trios) > SELECTION_MAX:
            messages.error(request, f"At most {SELECTION_MAX} trios at once: select fewer. Nothing was done.")
            return HttpResponseRedirect(reverse("admin:orders_trioorder_changelist"))
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "title": f"{title} {len(trios)} trio{'s' if len(trios) != 1 else ''}?",
                "opts": TrioOrder._meta,
                "trios": trios,
                "real_money": any(trio.account.environment == "LIVE" for trio in trios),
                "verb": name,
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
                "media": self.media,
            }
            return TemplateResponse(request, "admin/orders/trioorder/confirm_selected.html", context)
        for trio in trios:
            self._do(request, trio, verb)
        return HttpResponseRedirect(reverse("admin:orders_trioorder_changelist"))
