"""Forms of the account pages. Secrets are write-only: no form ever renders one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.errors import AccountsError
from accounts.models import ExchangeAccount, MarginTypeChoice
from accounts.services import AccountDraft, account_name, account_prepare
from exchange.secret import Secret
from infrastructure.admin_pages import DialogForm

if TYPE_CHECKING:
    ModelFormBase = forms.ModelForm[ExchangeAccount]
else:
    ModelFormBase = forms.ModelForm


class SecretField(forms.CharField):
    """What is typed is a secret from here on."""

    def clean(self, value: Any) -> Any:
        return Secret(super().clean(value))


class UnshownTextInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """What was typed shows while it is typed, and in no page that comes back."""

    def format_value(self, value: Any) -> None:
        return None


def _key_field() -> forms.CharField:
    widget = UnshownTextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return SecretField(
        label="API key",
        widget=widget,
        help_text="It must not have the withdrawal permission. Once stored, only its fingerprint is shown.",
    )


def _secret_field() -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"})
    return SecretField(
        label="API secret",
        widget=widget,
        strip=False,
        help_text="Stored encrypted; it cannot be shown again.",
    )


class AccountAddForm(ModelFormBase):
    """A new account: checked with the exchange before anything is stored."""

    api_key = _key_field()
    new_secret = _secret_field()
    draft: AccountDraft

    class Meta:
        model = ExchangeAccount
        fields = ("name", "environment", "notes")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned  # the exchange is asked only once everything is filled in
        try:
            self.draft = account_prepare(
                name=cleaned["name"],
                environment=cleaned["environment"],
                api_key=cleaned["api_key"],
                api_secret=cleaned["new_secret"],
                notes=cleaned["notes"],
            )
        except AccountsError as error:
            self.add_error(error.field if error.field in self.fields else None, error.sentence)
        return cleaned


class AccountChangeForm(ModelFormBase):
    """What a person may change by hand; the rest is read from the exchange."""

    class Meta:
        model = ExchangeAccount
        fields = ("name", "is_active", "notes")

    def clean_name(self) -> str:
        try:
            return account_name(self.cleaned_data["name"])
        except AccountsError as error:
            raise forms.ValidationError(error.sentence) from None


class CredentialsForm(DialogForm):
    """Another API key of the same account."""

    api_key = _key_field()
    new_secret = _secret_field()


class SymbolSettingForm(DialogForm):
    """What is wanted for one symbol; empty: keep what the exchange has."""

    symbol = forms.CharField(max_length=32, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}))
    leverage = forms.IntegerField(
        min_value=1, max_value=125, required=False, widget=UnfoldAdminIntegerFieldWidget()
    )
    margin_type = forms.ChoiceField(
        required=False,
        choices=[("", "leave as it is"), *MarginTypeChoice.choices],
        widget=UnfoldAdminSelectWidget(),
    )

    def clean_symbol(self) -> str:
        return str(self.cleaned_data["symbol"]).strip().upper()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and cleaned.get("leverage") is None and not cleaned.get("margin_type"):
            # At a field: unfold's dialog does not show errors of the form as a whole.
            self.add_error("leverage", "Enter a leverage, a margin type, or both.")
        return cleaned
