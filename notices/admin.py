"""The pages on which a person says how they are told, and sees what they were told. Everybody sees their own."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final

import unfold.admin
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.debug import sensitive_post_parameters
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from accounts.forms import SecretField
from infrastructure.admin_pages import DialogActions, DialogForm, dialog
from notices.domain.kinds import FORMS, Kind, Mode
from notices.errors import NoticesError
from notices.models import Destination, Notice, PriceAlert, Recipient
from notices.services import (
    destination_store,
    destination_test,
    notice_acknowledge,
    recipient_of,
    tested,
    url_check,
)
from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.domain.rounding import plain
from orders.models import Symbol

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
    RecipientFormBase = forms.ModelForm[Recipient]
    DestinationFormBase = forms.ModelForm[Destination]
    AlertFormBase = forms.ModelForm[PriceAlert]
else:
    Base = unfold.admin.ModelAdmin
    RecipientFormBase = DestinationFormBase = AlertFormBase = forms.ModelForm

MODE: Final = "mode_"
secrets_stay_out_of_error_pages = method_decorator(sensitive_post_parameters("secret_url"))


class OwnRows(Base):
    """Rows of the person who looks, for everybody who may see trios; a superuser sees everybody's."""

    owner: ClassVar[str] = "recipient__user"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(**{self.owner: request.user})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)


def _may(request: HttpRequest) -> bool:
    return request.user.has_perm("orders.view_trioorder")


# --- how a person is told ------------------------------------------------------------------------------


class RecipientForm(RecipientFormBase):
    """Hours, who comes next, and one field for each kind."""

    class Meta:
        model = Recipient
        fields = (
            *("user", "is_active", "zone", "quiet_from", "quiet_until", "digest_at"),
            *("escalate_to", "escalate_minutes"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        staff = User.objects.filter(is_active=True, is_staff=True)
        for name in ("user", "escalate_to"):
            if name in self.fields:
                self.fields[name].queryset = staff  # type: ignore[attr-defined]
        for kind in Kind:
            if MODE + kind.value in self.fields:
                self.initial[MODE + kind.value] = self.instance.mode_of(kind).value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if (cleaned.get("quiet_from") is None) != (cleaned.get("quiet_until") is None):
            self.add_error(
                "quiet_until", "Quiet hours need both a start and an end; leave both empty for none."
            )
        owner = cleaned.get("user") or getattr(self.instance, "user", None)
        if owner is not None and cleaned.get("escalate_to") == owner:
            self.add_error("escalate_to", "Choose somebody else: this is the person who is told first.")
        return cleaned

    def modes(self) -> dict[str, str]:
        """Return the kinds for which something else than usual is wanted."""
        wanted = {kind: self.cleaned_data.get(MODE + kind.value) for kind in Kind}
        return {kind.value: mode for kind, mode in wanted.items() if mode and mode != FORMS[kind].mode.value}


def _mode_field(kind: Kind) -> forms.ChoiceField:
    form = FORMS[kind]
    return forms.ChoiceField(
        label=form.title,
        required=False,
        choices=[(mode.value, mode.words) for mode in Mode],
        widget=UnfoldAdminSelectWidget,
        help_text="Urgent: sent at any hour." if form.severity.value == "URGENT" else "",
    )


# A form whose fields the kinds make: Django's admin asks the class for them.
ModesForm: type[RecipientForm] = type(
    "ModesForm", (RecipientForm,), {MODE + kind.value: _mode_field(kind) for kind in Kind}
)


@admin.register(Recipient)
class RecipientAdmin(OwnRows):
    owner = "user"
    form = ModesForm
    list_display = ("user", "is_active", "zone", "quiet", "digest_at", "escalate_to")
    list_select_related = ("user", "escalate_to")

    def get_fieldsets(self, request: HttpRequest, obj: Recipient | None = None) -> Any:
        who = ("user", "is_active") if request.user.is_superuser and obj is None else ("is_active",)
        return (
            (None, {"fields": who}),
            (
                "When",
                {
                    "fields": ("zone", ("quiet_from", "quiet_until"), "digest_at"),
                    "description": "Quiet hours hold back all but urgent notices; the rest comes afterwards in one message.",
                },
            ),
            (
                "When nobody acknowledges an urgent notice",
                {"fields": ("escalate_to", "escalate_minutes")},
            ),
            ("Notify me of", {"fields": tuple(MODE + kind.value for kind in Kind)}),
        )

    def save_model(self, request: HttpRequest, obj: Recipient, form: Any, change: bool) -> None:
        if obj.user_id is None:
            obj.user = request.user
            obj.pk = Recipient.objects.filter(user=obj.user).values_list("pk", flat=True).first()
        obj.modes = form.modes()
        super().save_model(request, obj, form, change)

    @display(description="Quiet hours")
    def quiet(self, recipient: Recipient) -> str:
        if recipient.quiet_from is None or recipient.quiet_until is None:
            return columns.NOTHING
        return f"{recipient.quiet_from:%H:%M} to {recipient.quiet_until:%H:%M}"


# --- where a person is told ----------------------------------------------------------------------------


def _url_field() -> forms.CharField:
    return SecretField(
        label="URL",
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Of apprise, such as tgram://TOKEN/CHAT, slack://…, mailtos://… or jsons://host/path for a webhook. Stored "
        "encrypted; it cannot be shown again.",
    )


class DestinationAddForm(DestinationFormBase):
    secret_url = _url_field()

    class Meta:
        model = Destination
        fields = ("name",)

    def clean_secret_url(self) -> Any:
        url = self.cleaned_data["secret_url"]
        try:
            url_check(url)
        except NoticesError as error:
            raise forms.ValidationError(error.sentence) from None
        return url


class DestinationChangeForm(DestinationFormBase):
    class Meta:
        model = Destination
        fields = ("name", "is_active")


class UrlForm(DialogForm):
    secret_url = _url_field()


@admin.register(Destination)
class DestinationAdmin(DialogActions, OwnRows):
    refusals = (NoticesError,)
    list_display = ("name", "service", "person", "is_active", "sent", "problem")
    list_select_related = ("recipient__user",)
    actions_detail: ClassVar = ["send_test", "replace_url"]
    sent = columns.time("sent_at", "Last delivered")
    failed = columns.time("failed_at", "Last failure")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = DestinationChangeForm if obj else DestinationAddForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (
            ("name", "is_active", *self.get_readonly_fields(request, obj)) if obj else ("name", "secret_url")
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("service", "person", "sent", "failed", "problem") if obj else ()

    @secrets_stay_out_of_error_pages
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Destination, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        obj.recipient = recipient_of(request.user)
        destination_store(obj, form.cleaned_data["secret_url"])
        messages.info(request, f"{obj.name}: send a test, to see whether it arrives.")

    @display(description="Service")
    def service(self, destination: Destination) -> str:
        return destination.service

    @display(description="Person", ordering="recipient__user__username")
    def person(self, destination: Destination) -> str:
        return str(destination.recipient.user)

    @display(description="Problem")
    def problem(self, destination: Destination) -> str:
        return destination.problem or columns.NOTHING

    @action(
        description="Send a test",
        url_path="send-test",
        permissions=["change"],
        dialog=dialog(
            "Send a test message?",
            "It is sent now; the answer of the service is shown here, within half a minute.",
            "Send",
        ),
    )
    def send_test(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(destination: Destination) -> str:
            failure = destination_test(destination)
            if failure is not None:
                raise NoticesError(tested(destination, failure))
            return tested(destination, failure)

        return self.on_page(request, object_id, lambda destination: self.run(request, destination, perform))

    @action(
        description="Replace the URL",
        url_path="replace-url",
        permissions=["change"],
        dialog=dialog(
            "Replace the URL",
            "The one that is stored cannot be shown. Send a test afterwards.",
            "Replace",
            UrlForm,
        ),
    )
    @secrets_stay_out_of_error_pages
    def replace_url(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(destination: Destination) -> str:
            destination_store(destination, form.cleaned_data["secret_url"])
            return f"{destination.name}: the URL was replaced."

        return self.on_page(request, object_id, lambda destination: self.run(request, destination, perform))


# --- what a person was told ----------------------------------------------------------------------------


@admin.register(Notice)
class NoticeAdmin(DialogActions, OwnRows, ReadOnlyAdmin):
    refusals = (NoticesError,)
    list_display = ("made", "badge", "says", "person", "answered")
    list_filter = ("severity", "kind")
    list_select_related = ("recipient__user",)
    actions_detail: ClassVar = ["acknowledge"]
    shown = ("made", "what_kind", "says", "about", "person", "due", "came_of_it", "answered", "escalation")
    made = columns.time("made_at", "Recorded")
    due = columns.time("due_at", "Due")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)

    def has_acknowledge_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _may(request)

    @display(description="Kind", ordering="kind", label={"URGENT": "danger", "NORMAL": "info"})
    def badge(self, notice: Notice) -> tuple[str, str]:
        return notice.severity, notice.title

    @display(description="Kind")
    def what_kind(self, notice: Notice) -> str:
        return notice.title  # the page shows a label as it is written in Python

    @display(description="What")
    def says(self, notice: Notice) -> str:
        return notice.sentence

    @display(description="Person", ordering="recipient__user__username")
    def person(self, notice: Notice) -> str:
        return str(notice.recipient.user)

    @display(description="About")
    def about(self, notice: Notice) -> str:
        trio = notice.facts.get("trio")
        if trio is None:
            return columns.NOTHING
        page = reverse("admin:orders_trioorder_change", args=[trio])
        return format_html('<a href="{}">Trio {}</a>', page, trio)

    @display(description="Acknowledged")
    def answered(self, notice: Notice) -> str:
        if notice.acknowledged_at:
            return f"by {notice.acknowledged_by}, {notice.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC"
        if notice.over_at:
            return "resolved"
        return "not yet" if notice.is_urgent else columns.NOTHING

    @display(description="Deliveries")
    def came_of_it(self, notice: Notice) -> str:
        rows = [
            (row.destination.name, row.get_state_display(), row.attempts, row.problem)
            for row in notice.deliveries.select_related("destination")
        ]
        if not rows:
            return "scheduled" if notice.queued_at is None else "nowhere: there is no active destination"
        return format_html_join("", "<div>{}: {}, attempts {}. {}</div>", rows)

    @display(description="Escalated")
    def escalation(self, notice: Notice) -> str:
        if notice.escalated_from is not None:
            return f"from {notice.escalated_from.recipient.user}, who had not acknowledged it"
        names = [str(row.recipient.user) for row in notice.escalations.select_related("recipient__user")]
        return f"to {', '.join(names)}" if names else columns.NOTHING

    @action(
        description="Acknowledge",
        url_path="acknowledge",
        permissions=["acknowledge"],
        dialog=dialog(
            "Acknowledge?",
            "You take care of it: nobody else is notified. The trio is not changed.",
            "Acknowledge",
        ),
    )
    def acknowledge(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(notice: Notice) -> str:
            if notice.acknowledged_at is not None:
                raise NoticesError(f"{notice.acknowledged_by} has acknowledged it already.")
            notice_acknowledge(notice, by=request.user.get_username())
            return "Acknowledged: nobody else is notified."

        return self.on_page(request, object_id, lambda notice: self.run(request, notice, perform))


# --- prices that a person waits for --------------------------------------------------------------------


class AlertForm(AlertFormBase):
    class Meta:
        model = PriceAlert
        fields = ("environment", "symbol", "side", "level", "kind", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(value := self.initial.get("level"), Decimal):  # not with sixteen decimals
            self.initial["level"] = plain(value)

    def clean_symbol(self) -> str:
        return str(self.cleaned_data["symbol"]).strip().upper()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        symbol, environment = cleaned.get("symbol"), cleaned.get("environment")
        if (
            symbol
            and environment
            and not Symbol.objects.filter(environment=environment, symbol=symbol).exists()
        ):
            self.add_error(
                "symbol",
                f"{symbol[:40]} is not a symbol of {environment}: choose one of the list of symbols.",
            )
        return cleaned


@admin.register(PriceAlert)
class PriceAlertAdmin(OwnRows):
    form = AlertForm
    list_display = ("symbol", "environment", "side", "level_shown", "kind", "note", "fired", "price_then")
    list_filter = ("environment", "symbol")
    level_shown = columns.amount("level", "Level")
    price_then = columns.amount("fired_price", "Price then")
    fired = columns.time("fired_at", "Told")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request) and (obj is None or obj.fired_at is None)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("fired", "price_then") if obj else ()

    def save_model(self, request: HttpRequest, obj: PriceAlert, form: Any, change: bool) -> None:
        if not change:
            obj.recipient = recipient_of(request.user)
        super().save_model(request, obj, form, change)
