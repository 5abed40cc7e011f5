"""The form of a strategy: its own fields, and one field for each parameter that its code takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from exchange.types import TIMEFRAMES
from orders.models import Symbol
from signals.catalogue import parameters_of, strategies_known
from signals.domain.faults import StrategyFailed
from signals.models import Strategy
from signals.strategies.schema import BadParameter, Kind, ParameterSpec

if TYPE_CHECKING:
    ModelFormBase = forms.ModelForm[Strategy]
else:
    ModelFormBase = forms.ModelForm

PARAMETER: Final = "parameter_"


class StrategyForm(ModelFormBase):
    """Everything but the parameters. Code is chosen by name: nobody can enter a path to run."""

    specs: Sequence[ParameterSpec] = ()

    class Meta:
        model = Strategy
        fields = (
            *(
                "name",
                "code",
                "accounts",
                "symbols",
                "timeframe",
                "size_kind",
                "size_value",
                "size_cap",
                "slippage",
            ),
            *("cooldown_bars", "dry_run", "history_bars", "deadline_seconds", "memory_mb"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "code" in self.fields:
            known = [(name, name) for name in sorted(strategies_known())]
            self.fields["code"] = forms.ChoiceField(
                choices=known, widget=UnfoldAdminSelectWidget, help_text="One of those that STRATEGIES names."
            )
        if "timeframe" in self.fields:
            self.fields["timeframe"] = forms.ChoiceField(
                choices=[("", "that of TIMEFRAME"), *((name, name) for name in TIMEFRAMES)],
                required=False,
                widget=UnfoldAdminSelectWidget,
            )
        for spec in self.specs:
            value = self.instance.parameters.get(spec.name, spec.default)
            self.initial[PARAMETER + spec.name] = value

    def clean_symbols(self) -> str:
        names = [part.strip().upper() for part in self.cleaned_data["symbols"].split(",") if part.strip()]
        return ",".join(dict.fromkeys(names))

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        self._check_accounts(found)
        for spec in self.specs:
            name = PARAMETER + spec.name
            if name in found:
                try:
                    found[name] = spec.write(spec.read(found[name]))
                except BadParameter as error:
                    self.add_error(name, str(error))
        return found

    def _check_accounts(self, found: dict[str, Any]) -> None:
        environments = sorted({account.environment for account in found.get("accounts") or ()})
        if len(environments) > 1:
            self.add_error(
                "accounts", f"They are of {' and '.join(environments)}: prices differ, choose one of them."
            )
            return
        names = [name for name in found.get("symbols", "").split(",") if name]
        if not environments or not names:
            return
        known = set(
            Symbol.objects.filter(environment=environments[0], symbol__in=names).values_list(
                "symbol", flat=True
            )
        )
        if unknown := [name for name in names if name not in known]:
            self.add_error("symbols", f"{environments[0]} has no symbol {', '.join(unknown)}.")

    def save(self, commit: bool = True) -> Any:
        if self.specs:
            values = {spec.name: self.cleaned_data[PARAMETER + spec.name] for spec in self.specs}
            self.instance.parameters = values
        return super().save(commit)


def form_for(strategy: Strategy | None) -> type[StrategyForm]:
    """Return the form of a strategy, with a field for each of its parameters once its code is chosen."""
    if strategy is None:
        return StrategyForm
    try:
        specs = parameters_of(strategy.code)
    except StrategyFailed:
        return StrategyForm  # the page says that its code cannot be loaded
    return type(
        "StrategyForm", (StrategyForm,), {"specs": specs, **{PARAMETER + s.name: _field(s) for s in specs}}
    )


def _field(spec: ParameterSpec) -> forms.Field:
    options: dict[str, Any] = {"label": spec.name.replace("_", " ").capitalize(), "help_text": _help(spec)}
    if spec.kind is Kind.FLAG:
        return forms.BooleanField(required=False, widget=UnfoldBooleanWidget, **options)
    if spec.choices:
        choices = [(choice, choice) for choice in spec.choices]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **options)
    return forms.CharField(
        required=spec.kind is not Kind.TEXT,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        **options,
    )


def _help(spec: ParameterSpec) -> str:
    bounds = {"at least": spec.least, "at most": spec.most}
    said = ", ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)
    return f"{spec.help} ({said})" if spec.help and said else spec.help or said
