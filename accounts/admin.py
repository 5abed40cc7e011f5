"""The account pages. Every action that asks the exchange or changes something is a POST behind a dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.decorators import action, display

from accounts.archive import account_archive, account_unarchive
from accounts.badges import ENVIRONMENT_COLOURS
from accounts.errors import AccountExists, AccountsError
from accounts.forms import AccountAddForm, AccountChangeForm, CredentialsForm, SymbolSettingForm
from accounts.models import ExchangeAccount, SymbolSetting
from accounts.services import account_replace_credentials, account_store, account_test
from accounts.symbol_settings import (
    symbol_setting_want,
    symbol_settings_apply,
    symbol_settings_apply_all,
    symbol_settings_read,
)
from infrastructure.admin_pages import DialogActions, ReadOnly, ReadOnlyHistory, dialog

if TYPE_CHECKING:
    AccountBase = admin.ModelAdmin[ExchangeAccount]
    SettingBase = admin.ModelAdmin[SymbolSetting]
    InlineBase = admin.TabularInline[SymbolSetting, ExchangeAccount]
else:

    class AccountBase(ReadOnlyHistory, unfold.admin.ModelAdmin):
        pass

    SettingBase = unfold.admin.ModelAdmin
    InlineBase = unfold.admin.TabularInline

secrets_stay_out_of_error_pages = method_decorator(sensitive_post_parameters("api_key", "new_secret"))


class WantedSettingInline(InlineBase):
    """Only symbols for which something is wanted: all that were read would be hundreds of rows."""

    model = SymbolSetting
    verbose_name_plural = "wanted leverage and margin type"
    fields = ("symbol", "wanted_leverage", "wanted_margin_type", "leverage", "margin_type", "read_at")
    readonly_fields = ("symbol", "leverage", "margin_type", "read_at")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[SymbolSetting]:
        wanted = Q(wanted_leverage__isnull=False) | Q(wanted_margin_type__isnull=False)
        return super().get_queryset(request).filter(wanted)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ArchivedFilter(admin.SimpleListFilter):
    """What is put away is not shown unless it is asked for."""

    title = "archived"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Archived"), ("any", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "any":
            return queryset
        return queryset.filter(archived_at__isnull=self.value() != "yes")

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        yield {**first, "display": "In use"}
        yield from others


@admin.register(ExchangeAccount)
class ExchangeAccountAdmin(DialogActions, AccountBase):
    refusals = (AccountsError,)
    list_display = (
        "name",
        "environment_badge",
        "is_active",
        "position_mode",
        "can_trade",
        "key_fingerprint",
        "permissions_note",
        "last_checked_at",
    )
    list_filter = (ArchivedFilter, "environment", "is_active", "position_mode")
    search_fields = ("name", "key_fingerprint")
    inlines = (WantedSettingInline,)
    change_form_before_template = "admin/accounts/exchangeaccount/before.html"
    actions_detail: ClassVar = [
        "test",
        "replace_credentials",
        {
            "title": "Leverage and margin type",
            "items": ["want_settings", "apply_settings", "read_settings"],
        },
        "archive",
        "unarchive",
    ]

    # --- what is shown and what may be changed ---

    def get_form(
        self, request: HttpRequest, obj: ExchangeAccount | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = AccountChangeForm if obj else AccountAddForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: ExchangeAccount | None = None) -> Any:
        if obj is None:
            return ("name", "environment", "api_key", "new_secret", "notes")
        switch = () if obj.archived_at else ("is_active",)
        return ("name", *switch, *self.get_readonly_fields(request, obj), "notes")

    def get_readonly_fields(self, request: HttpRequest, obj: ExchangeAccount | None = None) -> Any:
        if obj is None:
            return ()
        return (
            *(["archived_at"] if obj.archived_at else []),
            "environment",
            "position_mode",
            *(["setting_change", "setting_changed_at"] if obj.setting_change else []),
            "key_fingerprint",
            "permissions_note",
            "can_trade",
            "account_alias",
            "last_checked_at",
            "created_at",
        )

    def get_inlines(self, request: HttpRequest, obj: ExchangeAccount | None) -> Any:
        return self.inlines if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # trios and their journal refer to it: switch it off instead

    @display(description="Environment", ordering="environment", label=ENVIRONMENT_COLOURS)
    def environment_badge(self, account: ExchangeAccount) -> tuple[str, str]:
        return account.environment, account.get_environment_display()

    # --- adding ---

    @secrets_stay_out_of_error_pages
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except AccountExists as error:  # two people added it at the same moment; nothing is stored
            messages.error(request, error.sentence)
            return HttpResponseRedirect(reverse("admin:accounts_exchangeaccount_changelist"))

    def save_model(self, request: HttpRequest, obj: ExchangeAccount, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
        else:
            account_store(form.draft, obj)
            messages.info(request, f"{obj.name}: permissions: {obj.permissions_note}.")
            if not obj.can_trade:
                messages.warning(
                    request, f"{obj.name}: the exchange does not let it trade: trios on it are refused."
                )

    # --- actions ---

    @action(
        description="Test connection",
        url_path="test",
        permissions=["change"],
        dialog=dialog(
            "Test connection?",
            "Reads permissions, balance, position mode and time from the exchange. Changes nothing there.",
            "Test",
        ),
    )
    def test(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(account: ExchangeAccount) -> str:
            check = account_test(account)
            for sentence in (*check.remarks, *check.problems):
                messages.warning(request, sentence)
            return check.sentence

        return self._run(request, object_id, perform)

    @action(
        description="Replace credentials",
        url_path="replace-credentials",
        permissions=["change"],
        dialog=dialog(
            "Replace credentials",
            "Another API key of the same exchange account. It is checked before it is stored.",
            "Check and replace",
            CredentialsForm,
        ),
    )
    @secrets_stay_out_of_error_pages
    def replace_credentials(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(account: ExchangeAccount) -> str:
            secret = form.cleaned_data["new_secret"]
            account_replace_credentials(
                account=account, api_key=form.cleaned_data["api_key"], api_secret=secret
            )
            return f"{account.name}: the credentials were replaced. Fingerprint: {account.key_fingerprint}."

        return self._run(request, object_id, perform)

    @action(
        description="Set for a symbol",
        url_path="symbol-setting",
        permissions=["change"],
        dialog=dialog(
            "Leverage and margin type of a symbol",
            "Kept as wanted, and set on the exchange at once unless something is open on the symbol.",
            "Set",
            SymbolSettingForm,
        ),
    )
    def want_settings(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        wanted = form.cleaned_data

        def perform(account: ExchangeAccount) -> str:
            symbol_setting_want(
                account, wanted["symbol"], leverage=wanted["leverage"], margin_type=wanted["margin_type"]
            )
            row = symbol_settings_apply(account, wanted["symbol"])
            return f"{row.symbol}: leverage {row.leverage}, margin type {row.margin_type}."

        return self._run(request, object_id, perform)

    @action(
        description="Apply leverage and margin type",
        url_path="apply-settings",
        permissions=["change"],
        dialog=dialog(
            "Apply leverage and margin type?",
            "Sets what is wanted for every symbol that differs and has nothing open.",
            "Apply",
        ),
    )
    def apply_settings(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(account: ExchangeAccount) -> str:
            done, refused = symbol_settings_apply_all(account)
            for sentence in refused:
                messages.error(request, sentence)
            return f"{account.name}: {len(done)} set as wanted, {len(refused)} refused."

        return self._run(request, object_id, perform)

    @action(
        description="Refresh from the exchange",
        url_path="read-settings",
        permissions=["change"],
        dialog=dialog(
            "Refresh leverage and margin type?",
            "Reads what the exchange has set for every symbol. Changes nothing there.",
            "Refresh",
        ),
    )
    def read_settings(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(account: ExchangeAccount) -> str:
            return f"{account.name}: settings of {symbol_settings_read(account)} symbols read."

        return self._run(request, object_id, perform)

    @action(
        description="Archive",
        url_path="archive",
        permissions=["archive"],
        dialog=dialog(
            "Archive this account?",
            "It is switched off and offered nowhere any more. Its trios, books and journal stay, and so does its key, encrypted: "
            "it can be taken out again. Refused while something is open on it.",
            "Archive",
        ),
    )
    def archive(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(account: ExchangeAccount) -> str:
            account_archive(account)
            self.log_change(request, account, "Archived.")
            return f"{account.name} is archived. It is found under the filter “archived”."

        return self._run(request, object_id, perform)

    @action(
        description="Take out of the archive",
        url_path="unarchive",
        permissions=["unarchive"],
        dialog=dialog(
            "Take this account out of the archive?",
            "It is shown again and stays switched off: switch it on to open something new on it.",
            "Take it out",
        ),
    )
    def unarchive(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(account: ExchangeAccount) -> str:
            account_unarchive(account)
            self.log_change(request, account, "Taken out of the archive.")
            return (
                f"{account.name} is in use again, and switched off: switch it on to open something new on it."
            )

        return self._run(request, object_id, perform)

    # Only the one that makes sense is offered; who confirms a dialog that is outdated by now is told so by the service.

    def has_archive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, archived=False)

    def has_unarchive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, archived=True)

    def _offered(self, request: HttpRequest, object_id: Any, *, archived: bool) -> bool:
        if not request.user.has_perm("accounts.change_exchangeaccount"):
            return False
        if request.method == "POST":
            return True
        number = str(object_id)
        if not (number.isascii() and number.isdigit()):
            return False
        return ExchangeAccount.objects.filter(pk=number, archived_at__isnull=not archived).exists()

    def _run(
        self, request: HttpRequest, object_id: str, perform: Callable[[ExchangeAccount], str]
    ) -> HttpResponse:
        return self.on_page(request, object_id, lambda account: self.run(request, account, perform))


@admin.register(SymbolSetting)
class SymbolSettingAdmin(ReadOnly, SettingBase):
    """What the exchange has set; what is wanted is entered on the account's page."""

    list_display = (
        "symbol",
        "account",
        "leverage",
        "margin_type",
        "wanted_leverage",
        "wanted_margin_type",
        "read_at",
    )
    list_filter = ("account", "margin_type")
    list_select_related = ("account",)
    search_fields = ("symbol",)
