"""Drift policies: what is done when somebody acts on the exchange beside us. A row for an account, or for one trio on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import unfold.admin
from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from unfold.decorators import display

from infrastructure.admin_pages import ReadOnlyHistory
from orders import services
from orders.domain.drift import ALLOWED, DRIFTS_WITH_CHOICE, Drift, Response
from orders.models import DriftChoices

if TYPE_CHECKING:
    Base = admin.ModelAdmin[DriftChoices]
    FormBase = forms.ModelForm[DriftChoices]
else:

    class Base(ReadOnlyHistory, unfold.admin.ModelAdmin):
        pass

    FormBase = forms.ModelForm


def help_of(drift: Drift) -> str:
    """Say what each response to a drift does."""
    return " ".join(
        f"{allowed.response.words}: {allowed.happens} ({allowed.notice})." for allowed in ALLOWED[drift]
    )


def empty_words(default: Response) -> str:
    """Say what an empty choice of an account stands for."""
    return f"{default.words} (as it is without a choice)"


class DriftForm(FormBase):
    class Meta:
        model = DriftChoices
        fields = ("account", *(drift.field for drift in DRIFTS_WITH_CHOICE))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for drift in DRIFTS_WITH_CHOICE:
            if (field := self.fields.get(drift.field)) is not None:
                field.label = drift.words.capitalize()
                field.help_text = help_of(drift)
                empty = "As the account" if self.instance.trio_id else empty_words(drift.default)
                field.choices = [("", empty), *((r.value, r.words) for r in drift.responses)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a second row for an account."""
        cleaned = super().clean() or self.cleaned_data
        account = cleaned.get("account")
        if account is not None and DriftChoices.objects.filter(account=account, trio=None).exists():
            self.add_error("account", f"“{account.name}” has a drift policy already: change that one.")
        return cleaned


@admin.register(DriftChoices)
class DriftChoicesAdmin(Base):
    form = DriftForm
    list_display = ("__str__", *(drift.field for drift in DRIFTS_WITH_CHOICE), "chosen_by")
    list_filter = (("account", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("account",)
    search_fields = ("account__name", "=trio__id")
    readonly_fields = ("trio",)

    def get_fields(self, request: HttpRequest, obj: DriftChoices | None = None) -> Any:
        whose = ("account", "trio") if obj is not None and obj.trio_id else ("account",)
        return (*whose, *(drift.field for drift in DRIFTS_WITH_CHOICE))

    def get_readonly_fields(self, request: HttpRequest, obj: DriftChoices | None = None) -> Any:
        return () if obj is None else ("account", "trio")  # another account's policy is another row

    def save_model(self, request: HttpRequest, obj: DriftChoices, form: Any, change: bool) -> None:
        obj.updated_by = request.user.get_username()
        super().save_model(request, obj, form, change)
        transaction.on_commit(partial(services.drift_holds, obj))

    def delete_model(self, request: HttpRequest, obj: DriftChoices) -> None:
        gone = DriftChoices(account=obj.account, trio=obj.trio)
        super().delete_model(request, obj)
        transaction.on_commit(partial(services.drift_holds, gone))

    @display(description="Chosen by")
    def chosen_by(self, row: DriftChoices) -> str:
        return f"{row.updated_by or '–'}, {row.updated_at:%Y-%m-%d %H:%M} UTC"
