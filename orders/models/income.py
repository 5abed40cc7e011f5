"""The account's income as the exchange books it, and how far it was read."""

from __future__ import annotations

from django.db import models

from accounts.models import ExchangeAccount
from orders.models.fields import amount
from orders.models.journal import Fill
from orders.models.trio import TrioOrder


class Income(models.Model):
    """One line of an account's income history, as it was read; it never changes.

    ``kind`` is the exchange's word, ``amount`` what the wallet gained in ``asset`` (lost: negative). A line with a
    ``trade_id`` belongs to the execution of that number on ``symbol``, and so to its trio, if it is one of ours; what is
    about no execution is allotted by ``IncomeShare``. What neither names belongs to the account alone.
    """

    account = models.ForeignKey(ExchangeAccount, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=40)
    amount = amount()
    asset = models.CharField(max_length=24)
    symbol = models.CharField(max_length=40, blank=True)
    trade_id = models.CharField(max_length=40, blank=True)
    tran_id = models.DecimalField(max_digits=20, decimal_places=0)
    info = models.TextField(blank=True)
    time_ts = models.BigIntegerField()

    class Meta:
        ordering = ("time_ts", "id")
        verbose_name_plural = "income"
        constraints = (
            models.UniqueConstraint(
                fields=("account", "tran_id", "kind", "symbol", "trade_id"), name="income_booked_once"
            ),
        )
        indexes = (models.Index(fields=("account", "time_ts"), name="income_of_time"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.amount.normalize():f} {self.asset}"


class IncomeShare(models.Model):
    """What of a line of income without an execution (funding, a liquidation's fee) belongs to one trio.

    It held the position the line was about. The shares of one line add up to it, or to less: the rest is the account's.
    """

    income = models.ForeignKey(Income, on_delete=models.PROTECT, related_name="shares")
    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="income_shares")
    amount = amount()

    class Meta:
        ordering = ("income", "trio")
        constraints = (models.UniqueConstraint(fields=("income", "trio"), name="income_shared_once"),)

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} of {self.income}, trio {self.trio_id}"


class FeePrice(models.Model):
    """What one unit of an execution's fee was worth in the symbol's margin asset when it was paid.

    Only of executions whose fee was paid in another asset. Without a row: not yet known.
    """

    fill = models.OneToOneField(Fill, on_delete=models.PROTECT, primary_key=True, related_name="fee_price")
    price = amount()

    def __str__(self) -> str:
        return f"{self.price.normalize():f} for the fee of {self.fill}"


class IncomeReading(models.Model):
    """How far an account's income was read, and what it says otherwise than our executions.

    All lines between ``since_ts`` and ``read_ts`` (exchange ms) are booked. ``differences``, by asset: ``realized`` and
    ``fees``, each as the exchange has it less as we have it, in plain text, and the ``trios`` concerned; empty: equal.
    """

    account = models.OneToOneField(ExchangeAccount, on_delete=models.CASCADE, related_name="income_reading")
    since_ts = models.BigIntegerField()
    read_ts = models.BigIntegerField()
    read_at = models.DateTimeField()
    differences = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("account",)
        verbose_name = "income of an account"
        verbose_name_plural = "income of accounts"

    def __str__(self) -> str:
        return f"income of {self.account}"


class EquityDay(models.Model):
    """What an account was worth in one asset when it was last read on a day (UTC): its wallet, and with what is open."""

    account = models.ForeignKey(ExchangeAccount, on_delete=models.CASCADE, related_name="+")
    asset = models.CharField(max_length=24)
    day = models.DateField()
    wallet = amount()
    equity = amount()
    read_at = models.DateTimeField()

    class Meta:
        ordering = ("account", "asset", "day")
        constraints = (models.UniqueConstraint(fields=("account", "asset", "day"), name="equity_once_a_day"),)

    def __str__(self) -> str:
        return f"{self.account} in {self.asset} on {self.day}"
