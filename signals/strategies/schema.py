"""The parameters of a strategy as data: read off its dataclass where it runs, checked wherever they are entered."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

NUMBER_LENGTH_MAX = 40


class Kind(enum.StrEnum):
    """What a parameter may be."""

    WHOLE = "WHOLE"
    DECIMAL = "DECIMAL"
    FLAG = "FLAG"
    TEXT = "TEXT"


class BadParameter(ValueError):
    """A value outside its schema; the text says which and why."""


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter. ``default`` and the bounds are written as values are kept: numbers as text."""

    name: str
    kind: Kind
    default: Any
    least: str | None = None
    most: str | None = None
    choices: tuple[str, ...] = ()
    help: str = ""

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> ParameterSpec:
        return cls(**{**row, "kind": Kind(row["kind"]), "choices": tuple(row["choices"])})

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def read(self, value: Any) -> Any:
        """Return the value as the strategy is given it. Raises BadParameter."""
        match self.kind:
            case Kind.FLAG:
                if not isinstance(value, bool):
                    raise BadParameter(f"{self.name} is true or false, not {_shown(value)}.")
                return value
            case Kind.TEXT:
                if not isinstance(value, str) or (self.choices and value not in self.choices):
                    raise BadParameter(
                        f"{self.name} is one of {', '.join(self.choices)}, not {_shown(value)}."
                        if self.choices
                        else f"{self.name} is a text."
                    )
                return value
            case Kind.WHOLE | Kind.DECIMAL:
                return self._read_number(value)

    def _read_number(self, value: Any) -> Any:
        text = str(value).strip()
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if isinstance(value, (bool, float)) or len(text) > NUMBER_LENGTH_MAX or not number.is_finite():
            raise BadParameter(f"{self.name} is a number, written with a point; {_shown(value)} is not one.")
        if self.kind is Kind.WHOLE and number != number.to_integral_value():
            raise BadParameter(f"{self.name} is a whole number, not {_shown(value)}.")
        if self.least is not None and number < Decimal(self.least):
            raise BadParameter(f"{self.name} is at least {self.least}, not {_shown(value)}.")
        if self.most is not None and number > Decimal(self.most):
            raise BadParameter(f"{self.name} is at most {self.most}, not {_shown(value)}.")
        return int(number) if self.kind is Kind.WHOLE else number

    def write(self, value: Any) -> Any:
        """Return a value as it is kept: numbers as plain text."""
        match value:
            case bool() | str():
                return value
            case Decimal():
                return format(value, "f")
        return str(value)


def describe(strategy: type) -> list[ParameterSpec]:
    """Read a strategy's parameters off its dataclass. Raises BadParameter for a type that has no form."""
    if not dataclasses.is_dataclass(strategy):
        raise BadParameter(
            f"{strategy.__name__} is not a dataclass: make it one whose fields are its parameters."
        )
    hints = typing.get_type_hints(strategy)
    return [_spec(field, hints[field.name]) for field in dataclasses.fields(strategy) if field.init]


def read_parameters(specs: Sequence[ParameterSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter as the strategy is given it; what is not given has its default. Raises BadParameter."""
    known = {spec.name for spec in specs}
    if unknown := sorted(set(given) - known):
        raise BadParameter(
            f"There is no parameter {unknown[0]}; known are {', '.join(sorted(known)) or 'none'}."
        )
    return {spec.name: spec.read(given.get(spec.name, spec.default)) for spec in specs}


def _spec(field: dataclasses.Field[Any], hint: Any) -> ParameterSpec:
    kinds = {int: Kind.WHOLE, Decimal: Kind.DECIMAL, bool: Kind.FLAG, str: Kind.TEXT}
    if hint not in kinds or field.default is dataclasses.MISSING:
        raise BadParameter(f"{field.name} must be an int, Decimal, bool or str, with a default.")
    least, most = field.metadata.get("least"), field.metadata.get("most")
    spec = ParameterSpec(
        field.name,
        kinds[hint],
        default=None,
        least=None if least is None else str(least),
        most=None if most is None else str(most),
        choices=tuple(field.metadata.get("choices", ())),
        help=str(field.metadata.get("help", "")),
    )
    return dataclasses.replace(spec, default=spec.write(spec.read(field.default)))


def _shown(value: Any) -> str:
    return repr(str(value)[:40])
