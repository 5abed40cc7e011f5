"""Webhook sources: what each may do, its secrets, a payload tried without placing; and the posts that came."""

from __future__ import annotations

import ipaddress
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from infrastructure.admin_pages import DialogActions, DialogForm, ReadOnlyHistory, dialog
from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.domain.rounding import plain
from signals.domain.posts import FIELDS
from signals.domain.refusals import sentence
from signals.hooks import BODY_MAX, post_try, secret_add, strangers_counted
from signals.models import HookPost, HookSecret, HookSource

if TYPE_CHECKING:
    SourceBase = admin.ModelAdmin[HookSource]
    InlineBase = admin.TabularInline[HookSecret, HookSource]
    FormBase = forms.ModelForm[HookSource]
else:

    class SourceBase(ReadOnlyHistory, unfold.admin.ModelAdmin):
        pass

    InlineBase = unfold.admin.TabularInline
    FormBase = forms.ModelForm

SYMBOL = re.compile(r"[A-Z0-9_]{2,40}")
DOTTED = re.compile(r"[\w-]+(\.[\w-]+){0,15}")
PAIRS = (("size_kind", "size_value"), ("stop_kind", "stop_value"), ("target_kind", "target_value"))
# fmt: off
EXAMPLE = """{"secret": "…", "time": "{{timenow}}", "symbol": "{{ticker}}", "action": "{{strategy.order.action}}",
 "market_position": "{{strategy.market_position}}", "prev_market_position": "{{strategy.prev_market_position}}",
 "quantity": "{{strategy.order.contracts}}", "position_size": "{{strategy.position_size}}"}"""
# fmt: on


class SourceForm(FormBase):
    class Meta:
        model = HookSource
        exclude = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for _, name in (*PAIRS, ("", "slippage")):
            if isinstance(value := self.initial.get(name), Decimal):  # not with sixteen decimals
                self.initial[name] = plain(value)
        if "mapping" in self.fields:
            self.fields["mapping"].help_text = (
                f"Maps a field to its dotted path in the post, where the names differ. Fields: {', '.join(FIELDS)}. "
                f'As in {{"symbol": "ticker", "stop": "order.stop"}}. A TradingView alert without a mapping: {EXAMPLE}'
            )

    def clean_symbols(self) -> str:
        names = list(dict.fromkeys(filter(None, re.split(r"[\s,]+", self.cleaned_data["symbols"].upper()))))
        if odd := [name for name in names if not SYMBOL.fullmatch(name)]:
            raise forms.ValidationError(
                f"{odd[0][:40]!r} is not a symbol: write them with commas, as in BTCUSDT,ETHUSDT."
            )
        return ", ".join(names)

    def clean_addresses(self) -> str:
        texts = [text for text in re.split(r"[\s,]+", self.cleaned_data["addresses"]) if text]
        for text in texts:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise forms.ValidationError(f"{text[:60]!r} is neither an address nor a network.") from None
        return ", ".join(texts)

    def clean_mapping(self) -> dict[str, str]:
        mapping = self.cleaned_data["mapping"] or {}
        if not isinstance(mapping, dict):
            raise forms.ValidationError('Write an object such as {"symbol": "ticker"}.')
        for name, path in mapping.items():
            if name not in FIELDS:
                raise forms.ValidationError(
                    f"{str(name)[:40]!r} is not a field of a post: {', '.join(FIELDS)}."
                )
            if not isinstance(path, str) or len(path) > 200 or not DOTTED.fullmatch(path):
                raise forms.ValidationError(
                    f"The path of {name} is not valid: write one such as order.price or targets.0."
                )
        return mapping

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for kind, value in PAIRS:
            if bool(cleaned.get(kind)) != (cleaned.get(value) is not None) and value not in self.errors:
                self.add_error(value, "Enter both kind and value, or neither.")
        if cleaned.get("stop_kind") == "R":
            self.add_error("stop_kind", "R is the distance to the stop, so it is for targets only.")
        return cleaned


class SecretForm(DialogForm):
    label = forms.CharField(
        label="Purpose",
        max_length=40,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class TryForm(DialogForm):
    payload = forms.CharField(
        label="A post's body",
        max_length=BODY_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text="Leave out the secret. Nothing is recorded and nothing is placed.",
    )


class SecretInline(InlineBase):
    """Which secrets there are. One that is not used any more is deleted here; a new one is made by the button."""

    model = HookSecret
    fields = readonly_fields = ("shown", "label", "created_at")
    extra = 0

    @display(description="Secret")
    def shown(self, secret: HookSecret) -> str:
        return f"… ({secret.digest[:8]})"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(HookSource)
class HookSourceAdmin(DialogActions, SourceBase):
    form = SourceForm
    list_display = ("name", "is_active", "dry_run", "policy", "symbols", "posts_minute", "without_secret")
    list_filter = ("is_active", "dry_run", "accounts")
    search_fields = ("name", "notes")
    filter_horizontal = ("accounts",)
    inlines = (SecretInline,)
    actions_detail: ClassVar = ["new_secret", "try_payload"]
    fieldsets = (
        (None, {"fields": ("name", "is_active", "dry_run", "accounts", "symbols", "policy", "notes")}),
        (
            "Size and levels",
            {
                "fields": (
                    *("size_kind", "size_value", "size_cap", "slippage"),
                    *("stop_kind", "stop_value", "target_kind", "target_value"),
                )
            },
        ),
        (
            "Allowed senders and rate",
            {"fields": ("addresses", "from_tradingview", "posts_minute", "window_seconds", "time_required")},
        ),
        ("Contents of a post", {"fields": ("repeat_seconds", "mapping")}),
    )

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}

    def get_readonly_fields(self, request: HttpRequest, obj: HookSource | None = None) -> tuple[str, ...]:
        return () if obj is None else ("name",)  # its trios and signals are called by it

    def get_inlines(self, request: HttpRequest, obj: HookSource | None) -> Any:
        return self.inlines if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its posts are what keeps one from being acted on twice: switch it off instead

    @display(description="Posts without its secret")
    def without_secret(self, source: HookSource) -> str:
        return str(strangers_counted().get(source.name, 0))

    @action(
        description="New secret",
        url_path="new-secret",
        permissions=["change"],
        dialog=dialog(
            "Make a new secret?",
            "It is shown once. The ones before it stay valid until you delete them: change the sender first.",
            "Make it",
            SecretForm,
        ),
    )
    def new_secret(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        source = self.get_object(request, object_id)
        if source is None:
            return self.on_page(request, object_id, lambda _: None)
        secret = secret_add(source, label=form.cleaned_data["label"])
        self.log_change(request, source, "A secret was added.")
        page = {"secret": secret, "address": request.build_absolute_uri(reverse("hook", args=[source.name]))}
        answer = TemplateResponse(request, "admin/signals/hooksource/secret.html", page)
        answer["Cache-Control"] = "no-store"
        return answer

    @action(
        description="Try a payload",
        url_path="try-payload",
        permissions=["view"],
        dialog=dialog(
            "Try a payload",
            "Shows what would become of this post. Nothing is recorded, nothing is placed.",
            "Try",
            TryForm,
        ),
    )
    def try_payload(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        source = self.get_object(request, object_id)
        if source is None:
            return self.on_page(request, object_id, lambda _: None)
        found = post_try(source, form.cleaned_data["payload"].encode())
        page = {
            "form": form,
            "status": found.status,
            "document": json.dumps(found.document, indent=2, ensure_ascii=False),
        }
        return TemplateResponse(request, "admin/signals/hooksource/tried.html", page)


@admin.register(HookPost)
class HookPostAdmin(ReadOnlyAdmin):
    list_display = ("when", "source", "status", "why", "signal_page", "address")
    list_filter = ("source", "status", "refusal")
    list_select_related = ("source", "signal")
    shown = ("source", "when", "address", "status", "why", "signal_page", "said", "answered", "key")
    when = columns.time("at", "Received")

    @display(description="Why")
    def why(self, post: HookPost) -> str:
        return sentence(post.refusal, post.facts) if post.refusal else columns.NOTHING

    @display(description="Signal")
    def signal_page(self, post: HookPost) -> str:
        if post.signal_id is None:
            return columns.NOTHING
        page = reverse("admin:signals_signal_change", args=[post.signal_id])
        return format_html('<a href="{}">{}</a>', page, post.signal)

    @display(description="Body")
    def said(self, post: HookPost) -> str:
        return json.dumps(post.payload, ensure_ascii=False)

    @display(description="Answer")
    def answered(self, post: HookPost) -> str:
        return json.dumps(post.answer, ensure_ascii=False)
