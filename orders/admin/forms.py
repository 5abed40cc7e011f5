"""Forms of the trading pages: a trio's draft, and the dialogs in front of the actions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Environment, ExchangeAccount
from exchange.types import TIMEFRAMES, PositionSide
from infrastructure.admin_pages import DialogForm
from orders import selectors, services
from orders.admin.written_fields import WrittenField, WrittenForm
from orders.domain import validation
from orders.domain.drift import DRIFTS_WITH_CHOICE, SAFE
from orders.domain.enums import Follow, Protection, Role, TargetPolicy
from orders.domain.errors import RuleBroken, TrioRefused
from orders.domain.moments import moment_problem
from orders.domain.rounding import plain
from orders.models import DriftChoices, Leg, Symbol, TrioOrder
from orders.specs import (
    part_targets_read,
    part_targets_text,
    rules_of,
    rungs_read,
    rungs_text,
    spec_of,
    spec_shown,
)
from orders.story import question_shown

if TYPE_CHECKING:
    ModelFormBase = forms.ModelForm[TrioOrder]
else:
    ModelFormBase = forms.ModelForm

PART: Final = re.compile(r"(?P<number>\d{1,20}(?:\.\d{1,16})?)\s*(?P<unit>%|[A-Za-z]{2,10})?")
AMOUNTS: Final = ("quantity", "trigger_price", "price", "stop_loss", "take_profit")
LABELS: Final = {
    "stop_loss": "Stop-loss",
    "take_profit": "Take-profit",
    "entry_type": "Entry",
    "price": "Entry price",
    "trigger_price": "Entry trigger",
    "target_policy": "If the take-profit is refused",
    "good_till": "Good till (UTC)",
    "hold_seconds": "Holding time in seconds",
    "rungs": "Entry ladder",
    "part_targets": "Part targets",
    "follow": "Stop follows the targets",
    "percent": "Or percent",
    "step": "Smallest move",
    "at_r": "At a profit of, in R",
    "at_price": "Or at the mark price",
    "flat_at": "Flat by (UTC)",
}
HELPS: Final = {
    "account": "The exchange account that trades.",
    "symbol": "Search by name. Only symbols of the account's environment are offered.",
    "side": "BUY opens a long position, SELL a short one.",
    "quantity": "In the base asset (BTC for BTCUSDT).",
    "entry_type": "MARKET fills at once at the market price, LIMIT at your price or better. STOP_MARKET and STOP wait for the trigger, then go at market or at your price.",
    "price": "For LIMIT and STOP entries; leave it empty for the others.",
    "trigger_price": "For STOP_MARKET and STOP entries: the mark price that they wait for, above the market to buy, below it to sell.",
    "rungs": "Several limit orders instead of one: price and share in percent, nearest to the market first, like 62000:50, 61500:30, 61000:20. Leave the entry price empty then. The quantity is that of all together.",
    "time_in_force": "For LIMIT and STOP entries: GTC rests until filled; IOC fills what it can at once; FOK fills in full at once or not at all; GTX is post-only.",
    "stop_loss": "Closes the position at market when the mark price reaches this level. Required.",
    "take_profit": "Closes the position at market when the last price reaches this level. Required.",
    "part_targets": "Take-profits for a share each, nearest first: price and percent, like 62000:50, 63000:25. The take-profit closes whatever they leave. Leave empty for none.",
    "follow": "Moves the stop-loss when a part target has executed.",
    "good_till": "Cancels the unfilled part at this time. Leave empty for no limit.",
    "hold_seconds": "Closes the position at market this long after its first fill. Leave empty for no limit.",
    "distance": "Keeps the stop this far behind the best price, in the quote asset.",
    "atr": "Multiples of the current ATR of that timeframe.",
    "bound": "The highest price to pay (BUY), or the lowest to accept (SELL).",
    "percent": "Keeps the stop this far behind the best price, in percent of it.",
    "activation": "The stop starts to follow once the price has reached this. Leave empty to start at once.",
    "step": "In the quote asset. Leave empty for one tick.",
    "at_r": "R is the distance from the entry to the first stop. Leave both empty to move it now.",
    "at_price": "Leave both empty to move it now.",
    "flat_at": "Closes the position at market at this time, and cancels the unfilled part: before funding, for example. Leave empty for no limit.",
}


def _amount_field(name: str, *, required: bool) -> forms.DecimalField:
    # A text field: a browser's number field rounds, scrolls and shows 1E-7.
    return forms.DecimalField(
        label=LABELS.get(name, name.capitalize()),
        required=required,
        max_digits=38,
        decimal_places=16,
        help_text=HELPS[name],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        error_messages={"invalid": "Enter a number, with a point for decimals, like 0.010."},
    )


class SharesField(forms.CharField):
    """Prices with a share each as a person writes them; what it gives is what the row keeps."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        super().__init__(
            label=LABELS[name],
            required=False,
            max_length=400,
            help_text=HELPS[name],
            widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        )
        self._read = read

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return self._read(text)
        except RuleBroken as problem:
            raise forms.ValidationError(str(problem)) from None


class TrioOrderForm(WrittenForm, ModelFormBase):
    """A draft, checked against every rule that needs no network. The rest is checked when it is placed.

    The market is asked where a level or the size is written as something that depends on it, like “2%”.
    """

    quantity = WrittenField("quantity", label="Quantity")
    trigger_price = _amount_field("trigger_price", required=False)
    price = _amount_field("price", required=False)
    stop_loss = WrittenField("stop_loss", label=LABELS["stop_loss"])
    take_profit = WrittenField("take_profit", label=LABELS["take_profit"])
    rungs = SharesField("rungs", rungs_read)
    part_targets = SharesField("part_targets", part_targets_read)
    follow = forms.ChoiceField(
        label=LABELS["follow"],
        required=False,
        choices=[
            (Follow.NOTHING.value, "No: it stays where it is"),
            (Follow.BREAK_EVEN.value, "To break-even after the first"),
            (Follow.TARGETS.value, "To break-even after the first, then to the target before"),
        ],
        widget=UnfoldAdminSelectWidget(),
        help_text=HELPS["follow"],
    )
    position_side = forms.ChoiceField(
        required=False,
        choices=[("", "By the account's position mode"), *((s.value, s.value) for s in PositionSide)],
        widget=UnfoldAdminSelectWidget(),
        help_text="BOTH in one-way mode; LONG or SHORT in hedge mode. Leave empty to use the right one.",
    )
    protection = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Default of the environment"),
            (Protection.PRE_ARMED.value, "PRE_ARMED: stop before the entry"),
            (Protection.ON_FIRST_FILL.value, "ON_FIRST_FILL: both legs with the first fill"),
        ],
        widget=UnfoldAdminSelectWidget(),
        help_text="Default: PRE_ARMED on Paper, ON_FIRST_FILL elsewhere. Live accepts ON_FIRST_FILL only.",
    )
    target_policy = forms.ChoiceField(
        label=LABELS["target_policy"],
        choices=[
            (TargetPolicy.ROLL_BACK.value, "Roll back: close the position"),
            (TargetPolicy.KEEP_STOP.value, "Keep the stop and ask me"),
        ],
        initial=TargetPolicy.ROLL_BACK.value,
        widget=UnfoldAdminSelectWidget(),
        help_text="Applies when the position is open and the exchange refuses the take-profit.",
    )

    class Meta:
        model = TrioOrder
        fields = TrioOrder.SPEC_FIELDS
        labels = LABELS
        help_texts = HELPS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in AMOUNTS:  # 0.001, not 0.0010000000000000
            value = getattr(self.instance, name)
            if value is not None:
                self.initial[name] = plain(value)
        if self.instance.pk:
            self.initial["part_targets"] = part_targets_text(self.instance)
            self.initial["rungs"] = rungs_text(self.instance)
            if self.instance.rungs:
                self.initial["price"] = ""  # the first rung's: it follows when that is changed
        if "account" not in self.fields:
            return  # somebody who may only look: no field can be changed
        if self.instance.pk is None:
            self.initial["position_side"] = ""
        self._narrow_account()
        self.fields["symbol"].error_messages["invalid_choice"] = (
            "Unknown symbol. Choose one from the list, or sync the symbols first."
        )
        if not Symbol.objects.exists():
            self.fields[
                "symbol"
            ].help_text = "No symbols are known yet: open Symbols and use “Sync symbols”, then come back."

    def _narrow_account(self) -> None:
        accounts = ExchangeAccount.objects.filter(is_active=True)
        if self.instance.pk:
            accounts |= ExchangeAccount.objects.filter(pk=self.instance.account_id)
        field = self.fields["account"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = accounts.order_by("name")
        field.error_messages["invalid_choice"] = (
            "This account does not exist or is switched off: choose another, or activate it."
        )
        if self.instance.pk is None and accounts.count() == 1:
            self.initial.setdefault("account", accounts.get().pk)

    def clean_rungs(self) -> Any:
        rungs = self.cleaned_data["rungs"]
        if rungs and self.cleaned_data.get("price") is None:
            self.cleaned_data["price"] = Decimal(rungs[0]["price"])
        return rungs

    def clean_good_till(self) -> Any:
        return _moment_checked(self.cleaned_data["good_till"])

    def clean_flat_at(self) -> Any:
        return _moment_checked(self.cleaned_data["flat_at"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        account, symbol = cleaned.get("account"), cleaned.get("symbol")
        if account is None or symbol is None:
            return cleaned
        if symbol.environment != account.environment:
            self.add_error("symbol", _mismatch(account, symbol))
            return cleaned
        self.understand(cleaned)
        if self.errors:
            return cleaned  # first what is missing or not a number
        trio = TrioOrder(**{name: cleaned[name] for name in TrioOrder.SPEC_FIELDS})
        services.trio_complete(trio)
        cleaned["position_side"], cleaned["protection"] = trio.position_side, trio.protection
        for problem in validation.problems(spec_of(trio), rules_of(symbol), validation.Market()):
            if problem.field in self.fields and not self.has_error(problem.field):
                self.add_error(problem.field, str(problem))
            elif problem.field not in self.fields:
                self.add_error(None, str(problem))
        return cleaned

    def _post_clean(self) -> None:
        self._not_understood = self.drop_written()
        super()._post_clean()  # type: ignore[misc]  # Django's own hook

    def _get_validation_exclusions(self) -> set[str]:
        found: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return found | self._not_understood


def _mismatch(account: ExchangeAccount, symbol: Symbol) -> str:
    twin = Symbol.objects.filter(environment=account.environment, symbol=symbol.symbol).exists()
    way_out = (
        f"choose {symbol.symbol} ({account.environment})"
        if twin
        else f"{account.environment} has no {symbol.symbol}; choose another symbol, or sync its symbols"
    )
    return (
        f"{symbol.symbol} ({symbol.environment}) is a symbol of {symbol.environment}, but the account "
        f"{account.name} trades on {account.environment}: {way_out}."
    )


class ActionForm(DialogForm):
    """The dialog in front of an action: shows the trio it is about, and in LIVE that this is real money."""

    form_before_template = "admin/orders/trioorder/dialog_summary.html"

    def get_before_template_context(self, request: Any, object_id: Any = None) -> dict[str, Any]:
        return {"trio": _trio_of(object_id)}


class PlaceForm(ActionForm):
    """Carries the draft it shows: what is placed is what was seen."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trio = _trio_of(kwargs.get("object_id"))  # read once: the summary and what is carried are one
        if self._trio is not None:
            self.fields["seen"].initial = json.dumps(spec_shown(self._trio))

    def get_before_template_context(self, request: Any, object_id: Any = None) -> dict[str, Any]:
        return {"trio": self._trio}


class MoveForm(ActionForm):
    """Asks for the new level of a stop or a target; it begins with the one that is agreed, and carries it as what was shown."""

    field: str
    shown = forms.DecimalField(required=False, max_digits=38, decimal_places=16, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trio = _trio_of(kwargs.get("object_id"))
        self.fields["level"] = _amount_field(self.field, required=True)
        if trio is not None:
            self.fields["level"].initial = self.fields["shown"].initial = plain(getattr(trio, self.field))


class MoveStopForm(MoveForm):
    field = "stop_loss"


class MoveTargetForm(MoveForm):
    field = "take_profit"


def _moment_checked(moment: datetime | None) -> datetime | None:
    """Return a moment that a trio may be given, or none. Raises ValidationError."""
    if moment is not None and (problem := moment_problem(moment, now=timezone.now())):
        raise forms.ValidationError(f"{problem.says()} Or leave it empty.")
    return moment


class ChangeEntryForm(ActionForm):
    """Asks for the terms of an entry that rests; it begins with those it has. What is left empty stays."""

    good_till = forms.DateTimeField(
        label=LABELS["good_till"],
        required=False,
        help_text="Cancels the unfilled part at this time. Leave empty to keep it.",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "off", "placeholder": "2030-01-31 12:00:00"}
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        entry = _entry_of(kwargs.get("object_id"))
        for name in ("quantity", "price"):
            self.fields[name] = _amount_field(name, required=False)
            if entry is not None:
                self.fields[name].initial = plain(getattr(entry, name))
        self.fields["price"].help_text = "Leave empty to keep it."
        self.fields[
            "quantity"
        ].help_text = "The whole quantity, the filled part included. Leave empty to keep it."
        self.order_fields(("price", "quantity", "good_till"))


class BreakEvenForm(ActionForm):
    """Asks how many ticks better than break-even."""

    offset = forms.IntegerField(
        label="Offset in ticks",
        required=False,
        initial=0,
        min_value=-1_000_000,
        max_value=1_000_000,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={"invalid": "Enter a whole number of ticks, like 2."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("at_r", "at_price"):
            self.fields[name] = _amount_field(name, required=False)
        self.fields["after_target"] = forms.ChoiceField(
            label="Or after a target",
            required=False,
            choices=[("", "No"), ("True", "When the first part target has executed")],
            widget=UnfoldAdminSelectWidget(),
        )


class TrailForm(ActionForm):
    """Asks how a stop is to follow the price."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("distance", "percent", "atr", "activation", "step"):
            self.fields[name] = _amount_field(name, required=False)
        self.fields["atr"].label = "ATR"
        self.fields["timeframe"] = forms.ChoiceField(
            label="Timeframe of the ATR",
            required=False,
            choices=[(name, name) for name in TIMEFRAMES],
            initial="1h",
            widget=UnfoldAdminSelectWidget(),
        )
        self.fields["watches"] = forms.ChoiceField(
            label="Follows the",
            required=False,
            choices=[("MARK", "mark price"), ("LAST", "last price")],
            widget=UnfoldAdminSelectWidget(),
        )
        self.fields["by_exchange"] = forms.ChoiceField(
            label="Moved by",
            required=False,
            choices=[
                ("", "this system: the stop-loss itself"),
                ("True", "the exchange: its own order beside it"),
            ],
            help_text="The exchange's own order accepts 0.1 to 20 % and does not count as protection: the stop-loss stays.",
            widget=UnfoldAdminSelectWidget(),
        )
        self.fields["let_run"] = forms.ChoiceField(
            label="Take-profit",
            required=False,
            choices=[("", "stays where it is"), ("True", "makes way once the stop loses nothing")],
            help_text="That needs an activation before the target, where trailing starts.",
            widget=UnfoldAdminSelectWidget(),
        )


class ChaseForm(ActionForm):
    """Asks how far an entry is to follow the price."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["bound"] = _amount_field("bound", required=True)
        self.fields["distance"] = _amount_field("distance", required=False)
        self.fields[
            "distance"
        ].help_text = (
            "Keeps the entry this far behind the last price, in the quote asset. Leave empty for one tick."
        )
        self.fields["step"] = _amount_field("step", required=False)


class ClosePartForm(ActionForm):
    """Asks how much to close."""

    part = forms.CharField(
        label="How much",
        max_length=40,
        initial="50 %",
        help_text="A share like 50 %, a quantity like 0.010, or a value with its asset like 250 USDT.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class AddForm(ActionForm):
    """Asks how much is to be added."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["quantity"] = _amount_field("quantity", required=True)


class TargetsForm(ActionForm):
    """Asks for the part targets; it begins with those that are agreed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trio = _trio_of(kwargs.get("object_id"))
        self.fields["targets"] = forms.CharField(
            label=LABELS["part_targets"],
            required=False,
            max_length=400,
            help_text=HELPS["part_targets"],
            initial="" if trio is None else part_targets_text(trio),
            widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        )


class ReverseForm(ActionForm):
    """Asks for the second trio's levels and size; it begins as large as the first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trio = _trio_of(kwargs.get("object_id"))
        for name, field in (("stop", "stop_loss"), ("target", "take_profit"), ("quantity", "quantity")):
            self.fields[name] = _amount_field(field, required=name != "quantity")
        self.fields[
            "quantity"
        ].help_text = "In the base asset. Leave empty for a trio as large as this one's position."
        if trio is not None:
            self.fields["quantity"].initial = plain(getattr(trio, "entry_filled", None) or trio.quantity)


class AnswerForm(ActionForm):
    """Carries the number of the question it shows: what is answered is what was read."""

    question = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trio = _trio_of(kwargs.get("object_id"))  # read once: what is shown and what is carried are one
        if self._trio is not None and self._trio.asked is not None:
            self.fields["question"].initial = question_shown(self._trio)

    def get_before_template_context(self, request: Any, object_id: Any = None) -> dict[str, Any]:
        return {"trio": self._trio, "question": self._trio.question if self._trio is not None else ""}


class LeaveUnprotectedForm(ActionForm):
    """For how long, and a confirmation that is typed."""

    minutes = forms.IntegerField(
        min_value=1,
        max_value=24 * 60,
        help_text="1 to 1440 (one day).",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    typed = forms.CharField(
        label="To confirm", max_length=40, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._words = services.unprotected_words(kwargs.get("object_id") or 0)
        self.fields["typed"].help_text = f"Type “{self._words}”."

    def clean_typed(self) -> str:
        typed = str(self.cleaned_data["typed"])
        if typed.strip().lower() != self._words:
            raise forms.ValidationError(f"Type “{self._words}” to confirm. It stays protected.")
        return typed


class DriftPolicyForm(ActionForm):
    """A response for each drift that has a choice; what holds by its account is said where nothing is chosen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trio = _trio_of(kwargs.get("object_id"))
        account = SAFE if trio is None else services.drift_policy_of(trio.account)
        row = None if trio is None else DriftChoices.objects.filter(trio=trio).first()
        for drift in DRIFTS_WITH_CHOICE:
            self.fields[drift.field] = forms.ChoiceField(
                label=drift.words.capitalize(),
                choices=[
                    ("", f"As the account: {account.of(drift).words}"),
                    *((response.value, response.words) for response in drift.responses),
                ],
                initial="" if row is None else getattr(row, drift.field),
                required=False,
                widget=UnfoldAdminSelectWidget(),
            )


def part_of(text: str, symbol: Symbol) -> dict[str, Decimal]:
    """Read how much to close: “50 %”, “0.010”, or “250 USDT”. Raises TrioRefused."""
    written = PART.fullmatch(text.strip())
    if written is None:
        raise TrioRefused(
            f"“{text.strip()}” does not say how much: write a share like 50 %, a quantity like 0.010, or a value like 250 USDT. "
            "Nothing was closed."
        )
    unit = (written["unit"] or symbol.base_asset).upper()
    kinds = {"%": "percent", symbol.quote_asset: "notional", symbol.base_asset: "quantity"}
    if unit not in kinds:
        raise TrioRefused(
            f"“{written['unit']}” is not an asset of {symbol.symbol}: write a share like 50 %, a quantity in {symbol.base_asset}, or a "
            f"value in {symbol.quote_asset}. Nothing was closed."
        )
    return {kinds[unit]: Decimal(written["number"])}


def seen_of(text: str) -> dict[str, str]:
    """Read the draft that a dialog showed. Raises TrioRefused when that is not all of it: nothing is placed unseen."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() >= set(TrioOrder.SPEC_FIELDS):
        raise TrioRefused(
            "This request does not say what of the draft was shown. Open the draft, look at it, then place it. "
            "Nothing was placed."
        )
    return {str(name): str(value) for name, value in found.items()}


def _trio_of(object_id: Any) -> TrioOrder | None:
    return selectors.trios_listed().filter(pk=object_id).first() if str(object_id).isdigit() else None


def _entry_of(object_id: Any) -> Leg | None:
    if not str(object_id).isdigit():
        return None
    return Leg.objects.filter(trio=object_id, role=Role.ENTRY).order_by("-generation").first()


class SyncSymbolsForm(DialogForm):
    """Which exchange's rules to read."""

    environment = forms.ChoiceField(
        choices=Environment.choices, widget=UnfoldAdminSelectWidget(), help_text="Every symbol of it is read."
    )
