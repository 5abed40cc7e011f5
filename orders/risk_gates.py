"""What forbids new risk. Stops, exits and cancels are never checked here (P10)."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.db.models import Q

from accounts.hold import hold_sentence
from accounts.models import Environment
from accounts.position_modes import change_sentence
from accounts.restrictions import restriction_sentence
from accounts.services import position_mode_problem
from accounts.symbol_settings import symbol_setting_problem
from orders.domain.enums import ENDS, Protection, TrioState
from orders.installation import install_refusal
from orders.models import Install, TrioOrder

HEARTBEAT_SECONDS = 10
BEATEN = (
    "SELECT EXISTS (SELECT FROM orders_heartbeat WHERE beat > clock_timestamp() - %s * interval '1 second')"
)
NO_WORKER = "No runworker is alive, so nobody would watch the position. Start one (“manage.py runworker”), then try again."


def worker_alive() -> bool:
    """Did any runworker send a heartbeat within the last ten seconds?"""
    with connection.cursor() as cursor:
        cursor.execute(BEATEN, [HEARTBEAT_SECONDS])
        (beaten,) = cursor.fetchone()
    return bool(beaten)


def new_risk_refusal(
    trio: TrioOrder, *, install: Install | None = None, settings_as_wanted: bool = True
) -> str:
    """Return why this trio may not open anything, from the database alone; empty when it may.

    ``settings_as_wanted=False`` leaves leverage and margin type out: placing sets them first.
    """
    account = trio.account
    if not account.is_active:
        return f"The account {account.name} is switched off: activate it, or choose another."
    if account.held_at is not None:
        return hold_sentence(account)
    if not account.can_trade:
        return f"The exchange does not let {account.name} trade. Look at the account in the exchange's app."
    if account.environment == Environment.LIVE and not settings.ALLOW_LIVE:
        return "Live trading is switched off (ALLOW_LIVE=false): real money needs ALLOW_LIVE=true."
    if account.environment == Environment.LIVE and trio.protection == Protection.PRE_ARMED:
        return (
            "LIVE accounts do not take PRE_ARMED: choose ON_FIRST_FILL, which sends the legs the moment the entry "
            "fills."
        )
    if account.restriction:
        return restriction_sentence(account)
    if account.setting_change:
        return change_sentence(account)
    if problem := position_mode_problem(account, trio.position_side):
        return problem
    if refusal := install_refusal(install):
        return refusal
    if not trio.symbol.is_trading:
        return (
            f"{trio.symbol.symbol} is not trading now (status {trio.symbol.status}). Choose another symbol."
        )
    if not settings_as_wanted:
        return ""
    return symbol_setting_problem(account, trio.symbol.symbol) or ""


def is_dry_run(trio: TrioOrder) -> bool:
    """Must this trio end as a dry run? ``smoke_order`` is exempt: it is an explicit command."""
    paper = trio.account.environment == Environment.PAPER
    return bool(settings.DRY_RUN_MODE) and not paper and trio.source != "smoke_order"


def living_behind_switches() -> str:
    """Return a sentence naming the open trios where a switch allows nothing new; they stay protected. Empty if none."""
    shut = Q(account__environment=Environment.LIVE) if not settings.ALLOW_LIVE else Q(pk__in=[])
    if settings.DRY_RUN_MODE:
        shut |= ~Q(account__environment=Environment.PAPER)
    living = TrioOrder.objects.filter(shut).exclude(state__in=[*ENDS, TrioState.DRAFT, TrioState.QUEUED])
    rows = list(living.select_related("account", "symbol").order_by("pk"))
    if not rows:
        return ""
    names = ", ".join(
        f"{trio.pk} ({trio.symbol.symbol} on {trio.account.name}, {trio.account.environment}, {trio.state})"
        for trio in rows
    )
    switches = [name for name, on in (("DRY_RUN_MODE is on", settings.DRY_RUN_MODE),
                                      ("ALLOW_LIVE is off", not settings.ALLOW_LIVE)) if on]  # fmt: skip
    what = "trio is" if len(rows) == 1 else "trios are"
    return (
        f"{' and '.join(switches)}, but {len(rows)} {what} open there: {names}. Nothing new is opened; open trios go on "
        "being protected, closed and cancelled."
    )
