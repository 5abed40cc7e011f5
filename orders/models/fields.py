"""The one column type for prices, quantities and money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, overload

from django.db import models


@overload
def amount(*, null: Literal[True], **options: Any) -> models.DecimalField[Decimal | None, Decimal | None]: ...


@overload
def amount(**options: Any) -> models.DecimalField[Decimal, Decimal]: ...


def amount(**options: Any) -> Any:
    """Return a Decimal column wide enough for every listed contract, from 1E-8 ticks to 1E+12 lots."""
    return models.DecimalField(max_digits=38, decimal_places=16, **options)
