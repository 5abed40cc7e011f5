"""What changes on the exchange mostly without an event: settings of the account, symbols that stop trading.

Open trios keep their orders, and each trio concerned asks a person, once for each change. Nothing new is opened where the
position mode changed, a symbol stopped trading, or its leverage or margin type is not the one that is wanted; multi-assets
mode forbids nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.gateways import exchange_for, refusal_of
from accounts.leverage_brackets import brackets_read_at, brackets_store
from accounts.models import ExchangeAccount, SymbolSetting
from accounts.position_modes import modes_take_in
from accounts.restrictions import restriction_facts
from accounts.symbol_settings import leverage_store, symbol_settings_read
from exchange.errors import OrderRejected
from exchange.refusals import Refusal
from exchange.types import PositionMode
from orders.domain.enums import TrioState
from orders.domain.fitting import fitted, misfit
from orders.domain.operator_questions import Question, QuestionKind
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.exchange_data.symbol_sync import symbols_renew
from orders.models import Outcome, Symbol, TrioOrder
from orders.specs import rules_of, rungs_of, spec_of
from orders.story import Put, question_put, question_take_back

BRACKETS_SECONDS = 86_400


def modes_look(account: ExchangeAccount) -> set[int]:
    """Read the account's modes. Returns the trios that ask now. Raises ExchangeError or AccountsError."""
    config = exchange_for(account.pk).account_config(at=exchange_now_ms(account.environment))
    change = modes_take_in(account, position_mode=config.position_mode, multi_assets=config.multi_assets)
    asks = _restriction_look(account) | _multi_assets_look(account)
    if change is None:
        return asks
    placed_in = PositionMode(account.position_mode)
    facts = {"account": account.name, "seen": _utc(account.setting_changed_at)}
    facts |= {"position_mode": config.position_mode.words, "placed_in": placed_in.words}
    question = Question(QuestionKind.POSITION_MODE_CHANGED, facts)
    return asks | _ask(_living(account), question)[0]


def _multi_assets_look(account: ExchangeAccount) -> set[int]:
    """Have trios ask that were placed before multi-assets mode was switched on. It forbids nothing."""
    since = account.multi_assets_since
    if since is None:
        return set()
    before = TrioOrder.objects.filter(pk__in=_living(account), queued_at__lt=since)
    facts = {"account": account.name, "seen": _utc(since)}
    return _ask(before.values_list("pk", flat=True), Question(QuestionKind.MULTI_ASSETS_ON, facts))[0]


def _restriction_look(account: ExchangeAccount) -> set[int]:
    """Have the account's trios ask when the exchange lets it trade no more; that it may only reduce stops no exit.

    What is asked about a restriction that was noted is taken back once that is lifted.
    """
    account.refresh_from_db()
    if not account.restriction:
        kind = QuestionKind.ACCOUNT_RESTRICTED
        noted = TrioOrder.objects.filter(
            pk__in=_living(account), question_kind=kind, question_facts__has_key="seen"
        )
        for trio_id in noted.values_list("pk", flat=True):
            question_take_back(trio_id, kind)
    if account.restriction != Refusal.ACCOUNT_RESTRICTED:
        return set()
    question = Question(QuestionKind.ACCOUNT_RESTRICTED, restriction_facts(account))
    return _ask(_living(account), question)[0]


def margins_look(account: ExchangeAccount) -> set[int]:
    """Read leverage and margin types. Returns the trios that ask now. Raises AccountsError."""
    symbol_settings_read(account)
    asks: set[int] = set()
    changed = SymbolSetting.objects.filter(~Q(margin_type_was="") | Q(leverage_was__isnull=False))
    for setting in changed.filter(account=account):
        asks |= _margin_type_asked(account, setting) | _leverage_asked(account, setting)
    return asks


def leverage_told(account: ExchangeAccount, symbol: str, leverage: int) -> set[int]:
    """Take in a leverage that an event tells of. Returns the trios that ask now."""
    leverage_store(account, symbol, leverage)
    setting = SymbolSetting.objects.filter(account=account, symbol=symbol).first()
    return set() if setting is None else _leverage_asked(account, setting)


def _margin_type_asked(account: ExchangeAccount, setting: SymbolSetting) -> set[int]:
    if not setting.margin_type_was:
        return set()
    asked, all_know = set[int](), True
    if setting.margin_type_was != setting.margin_type:
        facts = _facts(account, setting) | {
            "margin_type": setting.margin_type,
            "was": setting.margin_type_was,
        }
        question = Question(QuestionKind.MARGIN_TYPE_CHANGED, facts)
        asked, all_know = _ask(_living(account, setting.symbol), question)
    if all_know:
        reported = SymbolSetting.objects.filter(pk=setting.pk, margin_type=setting.margin_type)
        reported.update(margin_type_was="")
    return asked


def _leverage_asked(account: ExchangeAccount, setting: SymbolSetting) -> set[int]:
    if setting.leverage_was is None:
        return set()
    asked, all_know = set[int](), True
    if setting.leverage_was != setting.leverage:
        facts = _facts(account, setting) | {"leverage": setting.leverage, "was": setting.leverage_was}
        question = Question(QuestionKind.LEVERAGE_CHANGED, facts)
        asked, all_know = _ask(_living(account, setting.symbol), question)
    if all_know:
        SymbolSetting.objects.filter(pk=setting.pk, leverage=setting.leverage).update(leverage_was=None)
    return asked


def _facts(account: ExchangeAccount, setting: SymbolSetting) -> dict[str, Any]:
    return {"account": account.name, "symbol": setting.symbol, "seen": _utc(setting.read_at)}


def brackets_look(account: ExchangeAccount) -> set[int]:
    """Read the leverage brackets where they are a day old, or the exchange refused an order by them since.

    Raises ExchangeError or AccountsError. No trio asks about them: they serve an estimate.
    """
    read_at = brackets_read_at(account.pk)
    young = read_at is not None and timezone.now() - read_at < timedelta(seconds=BRACKETS_SECONDS)
    if young and not _position_limit_refused(account, since=read_at):
        return set()
    exchange = exchange_for(account.pk)
    with contextlib.suppress(OrderRejected):  # this exchange has none
        brackets_store(account.pk, exchange.leverage_brackets(at=exchange_now_ms(account.environment)))
    return set()


def _position_limit_refused(account: ExchangeAccount, *, since: datetime | None) -> bool:
    """Has the exchange refused an order of this account because the position would be too large for its leverage?"""
    refused = Outcome.objects.filter(
        request__leg__trio__account=account, request__leg__trio__journal_at__gt=since, received_at__gt=since
    )
    codes = refused.exclude(code=0).order_by().values_list("code", flat=True).distinct()
    return any(refusal_of(code) is Refusal.POSITION_LIMIT for code in codes)


def symbols_look(account: ExchangeAccount) -> set[int]:
    """Read the trading rules if they are old. Returns the trios that ask now. Raises AccountsError."""
    symbols_renew(account.environment, asked_since=db_now() - timedelta(seconds=settings.SYMBOLS_SECONDS))
    asks = _misfits_ask(account)
    held = TrioOrder.objects.filter(account=account, holds_slot=True).values("symbol")
    for symbol in Symbol.objects.filter(pk__in=held).exclude(status="TRADING").order_by("symbol"):
        facts = {"symbol": symbol.symbol, "status": symbol.status, "since": _utc(symbol.status_since)}
        asked, _ = _ask(_living(account, symbol.symbol), Question(QuestionKind.SYMBOL_STOPPED, facts))
        asks |= asked
    return asks


def _misfits_ask(account: ExchangeAccount) -> set[int]:
    """Have resting entries ask that could not be protected and closed by today's rules. Returns those that ask now."""
    asks: set[int] = set()
    resting = TrioOrder.objects.filter(account=account, holds_slot=True, state=TrioState.WORKING)
    for trio in resting.select_related("account", "symbol"):
        rules = rules_of(trio.symbol)
        # On the prices that were taken then.
        rests = replace(
            fitted(spec_of(trio), rules),
            price=trio.price,
            trigger_price=trio.trigger_price,
            rungs=rungs_of(trio),
        )
        if trouble := misfit(rests, rules):
            facts = {"account": account.name, "symbol": trio.symbol.symbol, "text": trouble}
            asks |= _ask([trio.pk], Question(QuestionKind.RULES_CHANGED, facts))[0]
    return asks


def _living(account: ExchangeAccount, symbol: str | None = None) -> list[int]:
    """Return the trios of which something may be on the exchange."""
    trios = TrioOrder.objects.filter(account=account, holds_slot=True).exclude(state=TrioState.QUEUED)
    if symbol is not None:
        trios = trios.filter(symbol__symbol=symbol)
    return list(trios.values_list("pk", flat=True))


def _utc(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "not known"


def _ask(trio_ids: Iterable[int], question: Question) -> tuple[set[int], bool]:
    """Return the trios that ask this now, and whether none is left to ask it later."""
    put = {trio_id: question_put(trio_id, question) for trio_id in trio_ids}
    return {trio_id for trio_id, how in put.items() if how is Put.ASKED}, Put.LATER not in put.values()
