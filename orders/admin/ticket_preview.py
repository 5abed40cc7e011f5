"""The order form's answer while a person types: figures, what is wrong and the value that would do, what would be sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final

from exchange.errors import ExchangeError
from exchange.types import ZERO, OrderType, Side
from orders import limits, risk_gates, services
from orders.admin.written_fields import WrittenForm, trio_of
from orders.domain.errors import OrdersError, RuleBroken
from orders.domain.nearest import nearest_value
from orders.domain.preview import Outcome, Preview, preview, stop_judged_at
from orders.domain.rounding import plain, signed
from orders.domain.snapshot import Rules, Spec
from orders.domain.understood import own
from orders.domain.validation import problems
from orders.models import Symbol, TrioOrder
from orders.placement.snapshot_loader import conditionals_beside
from orders.queueing.check import gates_check, limits_check, slot_check
from orders.queueing.market_at_hand import AtHand, at_hand
from orders.specs import rules_of, spec_of

NOT_KNOWN: Final = "not known"
PRECISION: Final = 120  # digits: whatever is typed, no figure is cut
NAMES: Final = {
    "stop_loss": "Stop-loss",
    "take_profit": "Take-profit",
    "price": "Entry price",
    "trigger_price": "Entry trigger",
    "quantity": "Quantity",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field, and the value that a button beside it takes; empty: there is none."""

    field: str
    sentence: str
    take: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    note: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """One line of the table: what comes of the position there."""

    name: str
    price: str
    quantity: str
    gross: str
    fees: str
    net: str
    percent: str
    r: str
    is_loss: bool


def ticket_context(form: Any, *, number: str) -> dict[str, Any]:
    """Return what the fragment shows of a form as it was sent. Asks the exchange at most what is not at hand."""
    with localcontext(prec=PRECISION):
        form.is_valid()
        return {"number": number, **_context(form)}


def _context(form: Any) -> dict[str, Any]:
    cleaned = getattr(form, "read", None)
    if cleaned is None or not (cleaned.get("side") and cleaned.get("entry_type")):
        # No account and symbol that go together, or a choice that the page does not offer.
        wanted = [name for name in ("account", "symbol") if not form.data.get(name)]
        return {
            "wanted": " and ".join(wanted),
            "problems": [
                Problem(name, str(error), label=_label(form, name))
                for name, errors in form.errors.items()
                for error in errors
                if name not in wanted and form.data.get(name)
            ],
        }
    trio = trio_of(cleaned)
    services.trio_complete(trio)
    hand = form.hand or at_hand(trio)
    spec, rules = spec_of(trio), rules_of(trio.symbol)
    found = preview(
        spec,
        rules,
        hand.market,
        equity=hand.equity,
        conditionals=conditionals_beside(trio),
        limited=_limited(trio, hand),
    )
    return {
        "trio": trio,
        "words": [(name, sentence) for name, sentence in form.words.items()],
        "problems": list(_problems(form, spec, rules, hand)),
        "figures": list(_figures(found, trio, hand)),
        "levels": list(_levels(found, trio.symbol)),
        "headroom": found.headroom,
        "orders": found.orders,
        "refusals": list(_refusals(trio, hand)),
        "unread": hand.unread,
        "dry_run": risk_gates.is_dry_run(trio),
        "asset": trio.symbol.margin_asset,
    }


# --- what is wrong ----------------------------------------------------------------------------------


def _problems(form: WrittenForm, spec: Spec, rules: Rules, hand: AtHand) -> Iterable[Problem]:
    """Yield one problem for each field: what could not be read, else the first rule that is broken."""
    told: set[str] = set()
    for name, errors in form.unread.items():
        if _is_filled(form, name):
            told.add(name)
            yield Problem(name, errors[0], label=_label(form, name))
    for problem in problems(spec, rules, hand.market):
        if problem.field in told or not _is_said(form, problem):
            continue
        told.add(problem.field)
        nearest = nearest_value(spec, rules, hand.market, problem.field)
        grid = rules.step_size if problem.field == "quantity" else rules.tick_size
        yield Problem(
            problem.field,
            str(problem),
            take="" if nearest is None else own(nearest, grid),
            label=_label(form, problem.field),
        )


def _is_said(form: WrittenForm, problem: RuleBroken) -> bool:
    """Is it about what somebody wrote? What is still empty is no mistake yet, but for a limit or stop without its price."""
    if problem.field not in form.fields or problem.field in ("price", "trigger_price"):
        return True
    return _is_filled(form, problem.field)


def _is_filled(form: WrittenForm, name: str) -> bool:
    return any(str(value).strip() for key, value in form.data.items() if key in (name, f"{name}_0"))


def _label(form: Any, name: str) -> str:
    return NAMES.get(name) or str(form.fields[name].label or name) if name in form.fields else ""


def _refusals(trio: TrioOrder, hand: AtHand) -> Iterable[str]:
    """Yield why it would not be placed now, whatever its figures are."""
    try:
        gates_check(trio, hand.around)
        slot_check(trio, hand.around, None)
        if trio.quantity > 0 and hand.around.offset_ms is not None:
            limits_check(trio, hand.around, hand.reading)
    except (OrdersError, ExchangeError) as error:
        yield str(error)
    if not hand.around.worker_alive:
        yield risk_gates.NO_WORKER


def _limited(trio: TrioOrder, hand: AtHand) -> Iterable[Any]:
    """Return the limits with their use; none where it is not known which day it is on the exchange."""
    if not hand.around.is_limited or hand.around.offset_ms is None:
        return ()
    return limits.standing(trio, now_ts=hand.around.exchange_ms(trio.account.environment))


# --- figures ----------------------------------------------------------------------------------------


def _figures(found: Preview, trio: TrioOrder, hand: AtHand) -> Iterable[Figure]:
    symbol, market, asset = trio.symbol, hand.market, trio.symbol.margin_asset
    tick = symbol.tick_size
    mark = NOT_KNOWN if market.mark_price is None else own(market.mark_price, tick)
    yield Figure(
        "Entry",
        NOT_KNOWN if found.entry is None else own(found.entry, tick),
        f"{_kind_words(found.spec)}; mark price {mark}" if found.spec.rests else "at market; the mark price",
    )
    if found.spec.quantity > 0:
        yield Figure("Quantity", f"{own(found.spec.quantity, symbol.step_size)} {symbol.base_asset}")
    if found.notional is not None:
        yield Figure("Notional", f"{plain(found.notional)} {symbol.quote_asset}")
    if found.margin is not None and found.needed is not None:
        free = NOT_KNOWN if found.free is None else f"{_cents(found.free)} {asset}"
        kind = "isolated" if market.isolated else "cross"
        at = f"at {market.leverage}x {kind}" if market.leverage else "leverage not known: all of it counts"
        short = found.free is not None and found.needed > found.free
        note = f"with the fee {plain(found.needed)}; free {free}; {at}"
        yield Figure("Margin needed", f"{plain(found.margin)} {asset}", note, is_bad=short)
    if found.entry_fee is not None:
        stop = "" if found.exit_fee is None else f"; {plain(found.exit_fee)} at the stop"
        yield Figure("Fees", f"{plain(found.entry_fee)} {asset}", f"for the entry, at the taker rate{stop}")
    if found.break_even is not None:
        yield Figure("Break-even", own(found.break_even, tick), "both fees included")
    if found.notional is not None:
        yield _liquidation(found, tick)
    if found.spec.stop_loss is not None:
        yield _triggers(found, trio, stop_judged_at(found.spec, market))
    if found.legs_left is not None:
        yield Figure(
            "Conditional orders left",
            str(max(0, found.legs_left)),
            f"of the account's 200, after the {found.spec.legs_wanted} of this one",
            is_bad=found.legs_left < 0,
        )


def _kind_words(spec: Spec) -> str:
    if spec.rungs:
        return f"limit, on the average of {len(spec.rungs)} rungs"
    return {
        OrderType.STOP_MARKET: "at market once triggered",
        OrderType.STOP: "limit, once triggered",
    }.get(spec.entry_type, "limit")


def _liquidation(found: Preview, tick: Decimal | None) -> Figure:
    if found.liquidation is None:
        return Figure("Liquidation", NOT_KNOWN, "estimated")
    if found.liquidation <= 0:
        return Figure("Liquidation", "none", "estimated: the wallet covers the whole position")
    away = found.liquidation_distance
    if away is None:
        return Figure("Liquidation", own(found.liquidation, tick), "estimated")
    where = (
        f"{own(away, tick)} beyond the stop-loss"
        if away > 0
        else "the stop-loss lies beyond it: liquidated first"
    )
    return Figure("Liquidation", own(found.liquidation, tick), f"estimated; {where}", is_bad=away <= 0)


def _triggers(found: Preview, trio: TrioOrder, judged_at: Decimal | None) -> Figure:
    if found.triggers_at_once is None or judged_at is None:
        return Figure("Stop triggers at once", NOT_KNOWN, "the mark price is not known")
    side = "below" if trio.side == Side.BUY else "above"
    price = own(judged_at, trio.symbol.tick_size)
    what = (
        f"the trigger price {price}" if judged_at == found.spec.trigger_price else f"the mark price {price}"
    )
    if found.triggers_at_once:
        return Figure("Stop triggers at once", "yes", f"it must be {side} {what}", is_bad=True)
    return Figure("Stop triggers at once", "no", f"it is {side} {what}")


def _levels(found: Preview, symbol: Symbol) -> Iterable[Level]:
    if found.stop is not None:
        yield _level("Stop-loss", found.stop, symbol)
    for place, target in enumerate(found.targets, start=1):
        last = place == len(found.targets)
        yield _level("Take-profit" if last else f"Part target {place}", target, symbol)
    if found.gain is not None:
        yield _level("All targets", found.gain, symbol, price="")


def _level(name: str, outcome: Outcome, symbol: Symbol, *, price: str | None = None) -> Level:
    return Level(
        name=name,
        price=own(outcome.level, symbol.tick_size) if price is None else price,
        quantity=own(outcome.quantity, symbol.step_size),
        gross=signed(outcome.gross),
        fees=plain(outcome.fees),
        net=signed(outcome.net),
        percent=NOT_KNOWN if outcome.percent is None else f"{_signed_cents(outcome.percent)} %",
        r="–" if outcome.r is None else f"{_signed_cents(outcome.r)} R",
        is_loss=outcome.net < 0,
    )


def _signed_cents(value: Decimal) -> str:
    return f"{'+' if value > 0 else ''}{value:.2f}"


def _cents(value: Decimal) -> str:
    return format(max(ZERO, value).quantize(Decimal("0.01")), "f")
