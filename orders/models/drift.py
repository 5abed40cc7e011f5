"""What an account, or one trio on it, answers when somebody acts on the exchange beside us."""

from __future__ import annotations

from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from accounts.models import ExchangeAccount
from orders.domain.drift import DRIFTS_WITH_CHOICE, Drift, DriftPolicy, policy_of
from orders.models.trio import TrioOrder

LONGEST = max(len(response) for drift in Drift for response in drift.responses)


def response(drift: Drift) -> Any:
    """Return the column of one drift: empty, or one of the responses that are safe for it."""
    return models.CharField(
        drift.words,
        max_length=LONGEST,
        blank=True,
        default="",
        choices=[(response.value, response.words) for response in drift.responses],
    )


class DriftChoices(models.Model):
    """The responses that were chosen for an account, or with ``trio`` for that trio alone. Empty: as before it.

    What a trio's row leaves empty is its account's; what that leaves empty is what is safe.
    """

    account = models.ForeignKey(ExchangeAccount, on_delete=models.CASCADE, related_name="drift_choices")
    trio = models.OneToOneField(
        TrioOrder, null=True, blank=True, on_delete=models.PROTECT, related_name="drift_choices"
    )
    stop_cancelled = response(Drift.STOP_CANCELLED)
    reduced = response(Drift.REDUCED)
    increased = response(Drift.INCREASED)
    reversed = response(Drift.REVERSED)
    settings_changed = response(Drift.SETTINGS_CHANGED)
    own_orders = response(Drift.OWN_ORDERS)
    updated_by = models.CharField(max_length=150, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ("account__name", "trio_id")
        verbose_name = "drift policy"
        verbose_name_plural = "drift policies"
        constraints = (
            models.UniqueConstraint(
                fields=("account", "trio"), nulls_distinct=False, name="drift_once_an_account_and_trio"
            ),
        )

    def __str__(self) -> str:
        return f"Drift policy of trio {self.trio_id}" if self.trio_id else f"Drift policy of {self.account}"

    @property
    def chosen(self) -> dict[str, str]:
        """Return what this row chooses, by the drift's field."""
        return {drift.field: found for drift in DRIFTS_WITH_CHOICE if (found := getattr(self, drift.field))}


def drift_policy(rows: list[DriftChoices]) -> DriftPolicy:
    """Return what an account's row and a trio's come to, whichever of them there are."""
    return policy_of(*(row.chosen for row in sorted(rows, key=lambda row: row.trio_id is not None)))
