"""The one column type for prices, quantities and money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models


def amount(**options: Any) -> models.DecimalField[Decimal, Decimal]:
    """Return a Decimal column wide enough for every listed contract, from 1E-8 ticks to 1E+12 lots."""
    return models.DecimalField(max_digits=38, decimal_places=16, **options)
