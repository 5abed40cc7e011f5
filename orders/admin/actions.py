"""The actions of a trio's page and list. Each is a POST behind a dialog; services do the work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant

from exchange.types import OrderType, PriceKind
from infrastructure import job_queue
from infrastructure.admin_pages import DialogActions, dialog
from orders import risk_gates, services
from orders.admin.forms import (
    LABELS,
    ActionForm,
    AddForm,
    AnswerForm,
    BreakEvenForm,
    ChangeEntryForm,
    ChaseForm,
    ClosePartForm,
    DriftPolicyForm,
    LeaveUnprotectedForm,
    MoveStopForm,
    MoveTargetForm,
    PlaceForm,
    ReverseForm,
    TargetsForm,
    TrailForm,
    part_of,
    seen_of,
)
from orders.bulk import bulk_begin, bulk_carry
from orders.domain.drift import DRIFTS_WITH_CHOICE
from orders.domain.enums import BulkVerb, LegState, Role, TrioState
from orders.domain.errors import IllegalTransition, OrdersError, RuleBroken, TrioRefused
from orders.domain.operator_questions import Choice
from orders.domain.rounding import plain
from orders.domain.trailing import FollowEnd
from orders.follow_rows import following
from orders.models import LevelMove, TrioOrder
from orders.specs import spec_shown
from orders.story import change_sentence

if TYPE_CHECKING:
    MixinBase = admin.ModelAdmin[TrioOrder]
else:
    MixinBase = object

SELECTION_MAX: Final = 100
BULK_AT_ONCE_SECONDS: Final = 0.5  # of a selection, before its page is shown; runworker does the rest
ANSWERS: Final = {
    Choice.LEAVE: "answer",
    Choice.CLOSE: "answer_close",
    Choice.CANCEL: "answer_cancel",
    Choice.ADOPT: "answer_adopt",
}
QUEUE_SILENT: Final = (
    "The queue (Redis) does not answer. Stops, closes and cancels go on without it; placing waits until "
    "it is back, and a trio that is not placed in time expires."
)


# --- what each action does: the service, and the sentence that reports it -----------------------


def validate(trio: TrioOrder, by: str) -> str:
    """Check the exchange's rules and our gates without placing anything."""
    if trio.trio_state is not TrioState.DRAFT:
        raise IllegalTransition(
            f"Trio {trio.pk} was placed already (it is {trio.state}): nothing to validate."
        )
    reading = services.trio_check(trio)
    mark = f" Mark price: {plain(reading.mark_price)}." if reading.mark_price is not None else ""
    needed = services.margin_needed(trio, reading)
    if needed is not None and reading.available is not None:
        mark += f" Margin and fees: {needed} of {plain(reading.available)} {trio.symbol.margin_asset} free."
    worker = "" if risk_gates.worker_alive() else f" But: {risk_gates.NO_WORKER}"
    return f"{trio}: would be accepted.{mark}{worker}"


def place(trio: TrioOrder, by: str, seen: str = "") -> str:
    services.trio_queue(trio_id=trio.pk, by=by, seen=seen_of(seen))
    return f"{trio}: queued for placement."


def cancel(trio: TrioOrder, by: str) -> str:
    after = services.trio_cancel(trio_id=trio.pk, by=by)
    if after.is_over:
        return f"{trio}: the draft is withdrawn."
    return f"{trio}: cancel requested. The unfilled part is cancelled; the filled part stays protected."


def close(trio: TrioOrder, by: str) -> str:
    after = services.trio_close(trio_id=trio.pk, by=by)
    if after.is_over:
        return f"{trio}: the draft is withdrawn."
    return f"{trio}: close at market requested."


def refresh(trio: TrioOrder, by: str) -> str:
    services.trio_refresh(trio_id=trio.pk, by=by)
    return f"{trio}: refresh requested. Every open order of it is read from the exchange again."


def answer(trio: TrioOrder, by: str, question: str = "") -> str:
    services.trio_answer(trio_id=trio.pk, by=by, shown=question)
    return f"{trio}: left as it is."


def answer_close(trio: TrioOrder, by: str, question: str = "") -> str:
    services.trio_answer(trio_id=trio.pk, by=by, choice=Choice.CLOSE, shown=question)
    return f"{trio}: answered; close at market requested."


def answer_cancel(trio: TrioOrder, by: str, question: str = "") -> str:
    services.trio_answer(trio_id=trio.pk, by=by, choice=Choice.CANCEL, shown=question)
    return (
        f"{trio}: answered; those orders are cancelled by their ids once our stop-loss and take-profit stand."
    )


def answer_adopt(trio: TrioOrder, by: str, question: str = "") -> str:
    services.trio_answer(trio_id=trio.pk, by=by, choice=Choice.ADOPT, shown=question)
    return f"{trio}: answered; the position is adopted and protected as a trio of its own."


def drift_policy(trio: TrioOrder, by: str, **chosen: Any) -> str:
    row = services.drift_choose(account=trio.account, trio_id=trio.pk, chosen=chosen, by=by)
    said = ", ".join(
        f"{drift.words}: {row.chosen[drift.field]}"
        for drift in DRIFTS_WITH_CHOICE
        if drift.field in row.chosen
    )
    return f"{trio}: drift policy saved. {said or 'It follows its account’s'}."


def leave_unprotected(trio: TrioOrder, by: str, minutes: int | str = "", typed: str = "") -> str:
    if not isinstance(minutes, int):
        raise RuleBroken("minutes", "Say for how many minutes. It stays protected.")
    after = services.trio_leave_unprotected(trio_id=trio.pk, minutes=minutes, typed=typed, by=by)
    return f"{trio}: {services.unprotected_sentence(after)}"


def protect_again(trio: TrioOrder, by: str) -> str:
    services.trio_protect_again(trio_id=trio.pk, by=by)
    return f"{trio}: protected again at once."


def move_stop(trio: TrioOrder, by: str, level: Decimal | str = "", shown: Decimal | str | None = None) -> str:
    return _moved(trio, by, Role.STOP_LOSS, level, shown)


def move_target(
    trio: TrioOrder, by: str, level: Decimal | str = "", shown: Decimal | str | None = None
) -> str:
    return _moved(trio, by, Role.TAKE_PROFIT, level, shown)


def break_even(
    trio: TrioOrder,
    by: str,
    offset: int | str | None = None,
    at_r: Decimal | str | None = None,
    at_price: Decimal | str | None = None,
    after_target: bool | str | None = None,
) -> str:
    waits_for_target = after_target in (True, "True", "on")
    if isinstance(at_r, Decimal) or isinstance(at_price, Decimal) or waits_for_target:
        waiting = services.trio_break_even_arm(
            trio_id=trio.pk,
            by=by,
            at_r=_amount(at_r),
            at_price=_amount(at_price),
            after_first_target=waits_for_target,
            offset_ticks=int(offset or 0),
        )
        return f"{trio}: break-even waits for {waiting.words}."
    move = services.trio_break_even(trio_id=trio.pk, by=by, offset_ticks=int(offset or 0))
    return _requested(trio, move)


def close_part(trio: TrioOrder, by: str, part: str = "") -> str:
    said = part_of(part, trio.symbol)
    change = services.trio_close_part(
        trio_id=trio.pk,
        by=by,
        quantity=said.get("quantity"),
        percent=said.get("percent"),
        notional=said.get("notional"),
    )
    return f"{trio}: closing {plain(change.quantity)} at market requested. The position that is left keeps its stop-loss and targets."


def add(trio: TrioOrder, by: str, quantity: Decimal | str = "") -> str:
    if not isinstance(quantity, Decimal):
        raise TrioRefused("Say how much to add. Nothing was added.")
    change = services.trio_add(trio_id=trio.pk, by=by, quantity=quantity)
    return (
        f"{trio}: adding {plain(change.quantity)} at market requested, under the same stop-loss and targets."
    )


def set_targets(trio: TrioOrder, by: str, targets: str = "") -> str:
    services.trio_targets(trio_id=trio.pk, by=by, text=targets)
    return f"{trio}: part targets set. Their orders follow at once."


def trail(
    trio: TrioOrder,
    by: str,
    distance: Decimal | str | None = None,
    percent: Decimal | str | None = None,
    atr: Decimal | str | None = None,
    timeframe: str = "",
    activation: Decimal | str | None = None,
    step: Decimal | str | None = None,
    watches: str = "",
    let_run: bool | str = False,
    by_exchange: bool | str = False,
) -> str:
    wanted = services.trio_trail(
        trio_id=trio.pk,
        by=by,
        distance=_amount(distance),
        percent=_amount(percent),
        atr=_amount(atr),
        timeframe=timeframe,
        activation=_amount(activation),
        step=_amount(step),
        watches=PriceKind(watches or PriceKind.MARK),
        let_run=let_run in (True, "True", "on"),
        by_exchange=by_exchange in (True, "True", "on"),
    )
    return f"{trio}: {' '.join(following(wanted.trio))}"


def chase(
    trio: TrioOrder,
    by: str,
    bound: Decimal | str | None = None,
    distance: Decimal | str | None = None,
    step: Decimal | str | None = None,
) -> str:
    up_to = _amount(bound)
    if up_to is None:
        raise RuleBroken("bound", "Say how far it may follow: a bound.")
    wanted = services.trio_chase(
        trio_id=trio.pk, by=by, bound=up_to, distance=_amount(distance), step=_amount(step)
    )
    return f"{trio}: {' '.join(following(wanted.trio))}"


def chase_off(trio: TrioOrder, by: str) -> str:
    services.trio_chase_off(trio_id=trio.pk, by=by)
    return f"{trio}: its entry no longer chases the price and stays where it is."


def trail_off(trio: TrioOrder, by: str) -> str:
    services.trio_trail_off(trio_id=trio.pk, by=by)
    return f"{trio}: its stop-loss no longer trails the price and stays where it is."


def _amount(value: Decimal | str | None) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


def reverse_trio(
    trio: TrioOrder,
    by: str,
    stop: Decimal | str = "",
    target: Decimal | str = "",
    quantity: Decimal | str | None = None,
) -> str:
    if not isinstance(stop, Decimal) or not isinstance(target, Decimal):
        raise TrioRefused(
            "Say where the second trio's stop-loss and take-profit are to be. Nothing was closed."
        )
    size = quantity if isinstance(quantity, Decimal) else None
    wish = services.trio_reverse(trio_id=trio.pk, stop_loss=stop, take_profit=target, quantity=size, by=by)
    return f"{trio}: close at market requested. {services.reversal_sentence(wish)}"


def place_again(trio: TrioOrder, by: str) -> str:
    draft = services.trio_place_again(trio_id=trio.pk, by=by)
    return f"Draft #{draft.pk} has the terms of {trio}: review it, then place it."


def change_entry(
    trio: TrioOrder,
    by: str,
    price: Decimal | str | None = None,
    quantity: Decimal | str | None = None,
    good_till: datetime | str | None = None,
) -> str:
    change = services.trio_change_entry(
        trio_id=trio.pk,
        by=by,
        price=price if isinstance(price, Decimal) else None,
        quantity=quantity if isinstance(quantity, Decimal) else None,
        good_till=good_till if isinstance(good_till, datetime) else None,
    )
    if change.end:
        return f"{trio}: {change_sentence(change)}"
    chased = trio.chases.filter(end=FollowEnd.OFF, ended_at=change.wanted_at).exists()
    return (
        f"{trio}: change of the entry from {plain(change.quantity_before)} at {plain(change.price_before)} to "
        f"{plain(change.quantity)} at {plain(change.price)} requested.{' Its chase has ended.' if chased else ''}"
    )


def _moved(trio: TrioOrder, by: str, role: Role, level: Decimal | str, shown: Decimal | str | None) -> str:
    if not isinstance(level, Decimal):
        raise TrioRefused(f"Say where the {role.words} is to go. Nothing was moved.")
    move = services.trio_move(trio_id=trio.pk, role=role, level=level, by=by, seen=_amount(shown))
    return _requested(trio, move)


def _requested(trio: TrioOrder, move: LevelMove) -> str:
    return (
        f"{trio}: move of the {Role(move.role).words} from {plain(move.level_before)} to {plain(move.level)} requested. The old order "
        "stays until the exchange has the new one."
    )


# --- how each is offered ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrioAction:
    """One action: the function behind it, its permission, button and dialog, and its name on the list."""

    name: str
    perform: Callable[..., str]
    permission: str
    label: str
    icon: str
    question: str
    explanation: str
    button: str
    variant: ActionVariant = ActionVariant.DEFAULT
    form: type[ActionForm] = ActionForm
    carries: str = ""  # the fields by which the screen says what it showed; without them the service refuses
    on_selection: str = ""  # "Cancel the unfilled part of" 3 trios?

    @property
    def changes_something(self) -> bool:
        return self.perform is not validate


PLACE: Final = TrioAction(
    name="place",
    perform=place,
    permission="place",
    label="Place",
    icon="send",
    variant=ActionVariant.PRIMARY,
    question="Place this trio?",
    explanation="It is checked against the exchange's rules and then sent. A trio is placed once.",
    button="Place now",
    form=PlaceForm,
    carries="seen",
    on_selection="Place",
)
VALIDATE: Final = TrioAction(
    name="validate",
    perform=validate,
    permission="validate",
    label="Validate",
    icon="rule",
    question="Validate this trio?",
    explanation="Reads the mark price and checks every rule. Places nothing.",
    button="Validate",
)
CLOSE: Final = TrioAction(
    name="close",
    perform=close,
    permission="close",
    label="Close at market",
    icon="logout",
    variant=ActionVariant.DANGER,
    question="Close at market?",
    explanation="The position is closed at market now; the unfilled part is cancelled.",
    button="Close now",
    on_selection="Close at market",
)
CANCEL: Final = TrioAction(
    name="cancel",
    perform=cancel,
    permission="cancel",
    label="Cancel",
    icon="undo",
    question="Cancel the unfilled part?",
    explanation="Cancels the unfilled part. The filled part stays open and keeps its stop-loss and take-profit.",
    button="Cancel it",
    on_selection="Cancel the unfilled part of",
)
REFRESH: Final = TrioAction(
    name="refresh",
    perform=refresh,
    permission="refresh",
    label="Refresh from the exchange",
    icon="sync",
    question="Refresh from the exchange?",
    explanation="Reads every open order of this trio from the exchange again. Changes nothing there.",
    button="Refresh",
    on_selection="Refresh from the exchange:",
)
ANSWER: Final = TrioAction(
    name="answer",
    perform=answer,
    permission="answer",
    label="Leave it as it is",
    icon="done",
    question="Leave it as it is?",
    explanation="Answers the question; the trio continues unchanged.",
    button="Leave it",
    form=AnswerForm,
    carries="question",
)
ANSWER_CLOSE: Final = TrioAction(
    name="answer_close",
    perform=answer_close,
    permission="close",
    label="Answer: close at market",
    icon="task_alt",
    variant=ActionVariant.DANGER,
    question="Answer with “close at market”?",
    explanation="The question is answered, and the position is closed at market now; the unfilled part is cancelled.",
    button="Close now",
    form=AnswerForm,
    carries="question",
)


ANSWER_CANCEL: Final = TrioAction(
    name="answer_cancel",
    perform=answer_cancel,
    permission="cancel",
    label="Answer: cancel those orders",
    icon="remove_done",
    question="Answer with “cancel those orders”?",
    explanation="The question is answered, and the orders that it names are cancelled by their ids once our stop-loss and take-profit stand.",
    button="Cancel them",
    form=AnswerForm,
    carries="question",
)
ANSWER_ADOPT: Final = TrioAction(
    name="answer_adopt",
    perform=answer_adopt,
    permission="place",
    label="Answer: adopt the position",
    icon="add_moderator",
    question="Answer with “adopt the position”?",
    explanation="The current position becomes a trio, its stop-loss and take-profit at this trio's original distances in percent.",
    button="Adopt it",
    form=AnswerForm,
    carries="question",
)
DRIFT_POLICY: Final = TrioAction(
    name="drift_policy",
    perform=drift_policy,
    permission="move",
    label="Drift policy",
    icon="alt_route",
    question="What happens on changes made outside this system?",
    explanation="Applies at once, to this trio only, overriding its account's policy. No choice leaves the position without a stop-loss.",
    button="Choose",
    form=DriftPolicyForm,
    carries=" ".join(drift.field for drift in DRIFTS_WITH_CHOICE),
)


LEAVE_UNPROTECTED: Final = TrioAction(
    name="leave_unprotected",
    perform=leave_unprotected,
    permission="close",
    label="Leave unprotected",
    icon="gpp_bad",
    variant=ActionVariant.DANGER,
    question="Leave it unprotected for a time?",
    explanation="A stop-loss that you cancel in the exchange's app is not placed again until the time is over. This cancels nothing. Meanwhile the position can lose all of its margin, and the trio is shown as unprotected. When the time is over it is protected again.",
    button="Leave it unprotected",
    form=LeaveUnprotectedForm,
    carries="minutes typed",
)
PROTECT_AGAIN: Final = TrioAction(
    name="protect_again",
    perform=protect_again,
    permission="move",
    label="Protect again",
    icon="gpp_good",
    variant=ActionVariant.PRIMARY,
    question="Protect it again now?",
    explanation="Places a stop-loss at once if none is open.",
    button="Protect it",
)


MAKE_BEFORE_BREAK: Final = (
    "The new order goes out first; the old one is cancelled once the exchange has acknowledged it. If it is refused, the old one "
    "stays."
)
MOVE_STOP: Final = TrioAction(
    name="move_stop",
    perform=move_stop,
    permission="move",
    label="Move stop",
    icon="swap_vert",
    question="Move the stop-loss?",
    explanation=MAKE_BEFORE_BREAK,
    button="Move it",
    form=MoveStopForm,
    carries="level shown",
)
BREAK_EVEN: Final = TrioAction(
    name="break_even",
    perform=break_even,
    permission="move",
    label="Break even",
    icon="balance",
    question="Move the stop-loss to break-even?",
    explanation="Moves it to the first price that loses nothing after entry and exit fees. The old stop is cancelled once the exchange has acknowledged the new one.",
    button="Move it",
    form=BreakEvenForm,
    carries="offset at_r at_price after_target",
)
TRAIL: Final = TrioAction(
    name="trail",
    perform=trail,
    permission="move",
    label="Trail",
    icon="trending_up",
    question="Trail the stop-loss?",
    explanation="The stop stays this far behind the best price and only ever moves nearer. Each time the old stop is cancelled once the exchange has acknowledged the new one. A runworker moves it, not the exchange: while none runs, the stop stays where it is.",
    button="Follow",
    form=TrailForm,
    carries="distance percent atr timeframe activation step watches let_run by_exchange",
)
TRAIL_OFF: Final = TrioAction(
    name="trail_off",
    perform=trail_off,
    permission="move",
    label="End the trail",
    icon="trending_flat",
    question="Stop trailing?",
    explanation="The stop-loss stays where it is.",
    button="End it",
)
CHASE: Final = TrioAction(
    name="chase",
    perform=chase,
    permission="move",
    label="Chase",
    icon="directions_run",
    question="Chase the price?",
    explanation="It is changed toward the last price, never away from it and never beyond the bound, and keeps its id and what it has filled. A runworker changes it: while none runs, it stays where it is.",
    button="Follow",
    form=ChaseForm,
    carries="bound distance step",
)
CHASE_OFF: Final = TrioAction(
    name="chase_off",
    perform=chase_off,
    permission="move",
    label="End the chase",
    icon="pause",
    question="Stop chasing?",
    explanation="The entry stays where it is.",
    button="End it",
)
MOVE_TARGET: Final = TrioAction(
    name="move_target",
    perform=move_target,
    permission="move",
    label="Move target",
    icon="swap_vert",
    question="Move the take-profit?",
    explanation=MAKE_BEFORE_BREAK,
    button="Move it",
    form=MoveTargetForm,
    carries="level shown",
)


CLOSE_PART: Final = TrioAction(
    name="close_part",
    perform=close_part,
    permission="close",
    label="Close part",
    icon="content_cut",
    question="Close part of the position?",
    explanation="Part of the position is closed at market now. The position that is left keeps its stop-loss and targets and stays protected throughout.",
    button="Close this part",
    form=ClosePartForm,
    carries="part",
)
ADD: Final = TrioAction(
    name="add",
    perform=add,
    permission="place",
    label="Add",
    icon="add",
    question="Add to the position?",
    explanation="A further entry at market under the same stop-loss and targets. It is checked like a new trio.",
    button="Add it",
    form=AddForm,
    carries="quantity",
)
SET_TARGETS: Final = TrioAction(
    name="set_targets",
    perform=set_targets,
    permission="move",
    label="Part targets",
    icon="stairs",
    question="Set the part targets?",
    explanation="Each closes a share of the remaining position; the take-profit closes the rest. Those that have filled are not placed again.",
    button="Set them",
    form=TargetsForm,
    carries="targets",
)
REVERSE: Final = TrioAction(
    name="reverse",
    perform=reverse_trio,
    permission="reverse",
    label="Reverse",
    icon="swap_horiz",
    variant=ActionVariant.DANGER,
    question="Close and reverse?",
    explanation="The position is closed at market now. Once its side is verified flat, the second trio is checked as new risk and placed at market; if it is refused, or a minute has passed, the close stays and nothing follows.",
    button="Reverse now",
    form=ReverseForm,
    carries="stop target quantity",
)
PLACE_AGAIN: Final = TrioAction(
    name="place_again",
    perform=place_again,
    permission="again",
    label="Place again",
    icon="content_copy",
    question="Copy it to a new draft?",
    explanation="Creates a draft with this trio's original terms. Nothing is placed: review the draft, then place it.",
    button="Make the draft",
)
CHANGE_ENTRY: Final = TrioAction(
    name="change_entry",
    perform=change_entry,
    permission="move",
    label="Change entry",
    icon="edit",
    question="Change the resting entry?",
    explanation="You can change its price, its total quantity (filled part included) and its good-till time. It keeps its id but loses its queue position. A larger quantity is protected first; a quantity already filled cancels the unfilled part.",
    button="Change it",
    form=ChangeEntryForm,
    carries="price quantity good_till",
)


def _carried(offered: TrioAction, sent: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
    """Return by what a screen says what it showed; nothing where the screen does not say it."""
    return {name: sent.get(f"{name}{suffix}", "") for name in offered.carries.split()}


def page_action(offered: TrioAction) -> Any:
    """Return the method behind an action's dialog on a trio's page."""

    def perform(self: Any, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        done: HttpResponse = self.on_page(
            request,
            object_id,
            lambda trio: self.run_offered(request, trio, offered, **_carried(offered, form.cleaned_data)),
        )
        return done

    perform.__name__ = offered.name  # unfold looks it up among the page's actions
    return action(
        description=offered.label,
        url_path=offered.name.replace("_", "-"),
        permissions=[offered.permission],
        icon=offered.icon,
        variant=offered.variant,
        dialog=dialog(offered.question, offered.explanation, offered.button, offered.form),
    )(perform)


def list_action(offered: TrioAction, label: str) -> Any:
    """Return the method behind an action on a selection of the list: the first POST asks, the second does."""

    @admin.action(description=label, permissions=[offered.permission])
    def perform(self: Any, request: HttpRequest, queryset: QuerySet[TrioOrder]) -> HttpResponse:
        done: HttpResponse = self.run_on_selection(request, queryset, offered)
        return done

    return perform


def _entry_rests(trio: TrioOrder) -> bool:
    """May its entry still be changed?"""
    if trio.trio_state not in (TrioState.WORKING, TrioState.OPEN) or trio.entry_type != OrderType.LIMIT:
        return False
    return trio.legs.filter(role=Role.ENTRY, state__in=[s.value for s in LegState if s.is_live]).exists()


class TrioActions(DialogActions, MixinBase):
    """Dialogs on the page, and the same actions on a selection of the list."""

    refusals = (OrdersError,)
    actions_detail: ClassVar = [
        "place", "validate", "change_entry", "chase", "chase_off", "move_stop", "break_even", "trail", "trail_off", "move_target", "close_part", "add", "set_targets",
        "reverse", "close", "cancel", "refresh", "place_again", "drift_policy", "answer", "answer_close", "answer_cancel", "answer_adopt",
        "leave_unprotected", "protect_again",
    ]  # fmt: skip
    actions = ("place_selected", "cancel_selected", "close_selected", "refresh_selected")

    place = page_action(PLACE)
    validate = page_action(VALIDATE)
    close = page_action(CLOSE)
    cancel = page_action(CANCEL)
    change_entry = page_action(CHANGE_ENTRY)
    move_stop = page_action(MOVE_STOP)
    break_even = page_action(BREAK_EVEN)
    chase = page_action(CHASE)
    chase_off = page_action(CHASE_OFF)
    trail = page_action(TRAIL)
    trail_off = page_action(TRAIL_OFF)
    move_target = page_action(MOVE_TARGET)
    close_part = page_action(CLOSE_PART)
    add = page_action(ADD)
    set_targets = page_action(SET_TARGETS)
    reverse = page_action(REVERSE)
    place_again = page_action(PLACE_AGAIN)
    refresh = page_action(REFRESH)
    answer = page_action(ANSWER)
    answer_close = page_action(ANSWER_CLOSE)
    answer_cancel = page_action(ANSWER_CANCEL)
    answer_adopt = page_action(ANSWER_ADOPT)
    drift_policy = page_action(DRIFT_POLICY)
    leave_unprotected = page_action(LEAVE_UNPROTECTED)
    protect_again = page_action(PROTECT_AGAIN)

    place_selected = list_action(PLACE, "Place")
    cancel_selected = list_action(CANCEL, "Cancel the unfilled part")
    close_selected = list_action(CLOSE, "Close at market")
    refresh_selected = list_action(REFRESH, "Refresh from the exchange")

    # Permissions are about the person; whether an action applies to the trio is for the services to say.

    def has_place_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.place_trioorder")

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.cancel_trioorder")

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.close_trioorder")

    def has_move_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.place_trioorder")

    def has_reverse_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_close_permission(request) and self.has_place_permission(request)

    def has_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.add_trioorder")

    def has_refresh_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_trioorder")

    def has_answer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_trioorder")

    def has_validate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return any(request.user.has_perm(f"orders.{verb}_trioorder") for verb in ("view", "change"))

    def refusal_message(self, obj: TrioOrder, error: Exception) -> str:
        """Name the field to correct, where there is one."""
        if isinstance(error, RuleBroken):
            field = LABELS.get(error.field, error.field.replace("_", " ").capitalize())
            return f"{obj}: {field}: {error}"
        return f"{obj}: {error}"

    def run_offered(self, request: HttpRequest, trio: TrioOrder, offered: TrioAction, **carried: Any) -> None:
        """Perform an action on a trio; what changes something enters the admin's own history."""
        by = request.user.get_username()
        sentence = self.run(request, trio, lambda trio: offered.perform(trio, by, **carried))
        if sentence and offered.changes_something:
            self.log_change(request, trio, sentence)
            if not job_queue.answering():
                messages.warning(request, QUEUE_SILENT)

    def verbs_for(self, trio: TrioOrder) -> list[str]:
        """Return the verbs that make sense for a trio as it is now."""
        if trio.trio_state is TrioState.DRAFT:
            return ["place", "validate", "cancel"]
        found = [] if trio.is_over else ["close", "cancel", "refresh"]
        if trio.trio_state is TrioState.OPEN and not trio.is_entry_only:
            off = ["trail_off"] if trio.is_trailing else []
            levels = ["move_stop", "break_even", "trail", *off, "move_target"]
            found = [*levels, "close_part", "add", "set_targets", "reverse", *found]
        if trio.trio_state is TrioState.WORKING and not trio.is_entry_only:
            found = ["move_stop", "move_target", *found]
        if _entry_rests(trio):
            found = ["change_entry", "chase", *(["chase_off"] if trio.is_chasing else []), *found]
        if not trio.is_entry_only:
            found = [*found, *([] if trio.is_over else ["drift_policy"]), "place_again"]
        if trio.unprotected_until is not None and not trio.is_over:
            found = ["protect_again", *found]
        elif trio.trio_state is TrioState.OPEN and not trio.is_entry_only:
            found = [*found, "leave_unprotected"]
        if (question := trio.asked) is None:
            return found
        # The answers may include a close of their own: two buttons for one thing would only confuse.
        answers = [ANSWERS[choice] for choice in question.choices]
        return [*answers, *(verb for verb in found if f"answer_{verb}" not in answers)]

    def run_on_selection(
        self, request: HttpRequest, queryset: QuerySet[TrioOrder], offered: TrioAction
    ) -> HttpResponse:
        trios = list(queryset.order_by("id")[: SELECTION_MAX + 1])
        if len(trios) > SELECTION_MAX:
            messages.error(request, f"At most {SELECTION_MAX} trios at once: select fewer. Nothing was done.")
            return HttpResponseRedirect(reverse("admin:orders_trioorder_changelist"))
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "title": f"{offered.on_selection} {len(trios)} trio{'s' if len(trios) != 1 else ''}?",
                "opts": TrioOrder._meta,
                "trios": trios,
                "seen": [(trio.pk, json.dumps(spec_shown(trio))) for trio in trios if offered is PLACE],
                "real_money": any(trio.account.environment == "LIVE" for trio in trios),
                "action": f"{offered.name}_selected",
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
                "media": self.media,
            }
            return TemplateResponse(request, "admin/orders/trioorder/confirm_selected.html", context)
        if offered is not REFRESH:
            return self._run_in_bulk(request, trios, offered)
        for trio in trios:
            self.run_offered(request, trio, offered)
        return HttpResponseRedirect(reverse("admin:orders_trioorder_changelist"))

    def _run_in_bulk(
        self, request: HttpRequest, trios: Sequence[TrioOrder], offered: TrioAction
    ) -> HttpResponse:
        """Record what is asked of a selection, begin with it, and show how it goes on."""
        seen: dict[int, Mapping[str, str]] = {}
        refused: dict[int, OrdersError] = {}
        for trio in trios if offered is PLACE else ():
            try:
                seen[trio.pk] = seen_of(request.POST.get(f"seen-{trio.pk}", ""))
            except OrdersError as error:
                refused[trio.pk] = error
        run = bulk_begin(
            BulkVerb(offered.name.upper()),
            [trio.pk for trio in trios],
            by=request.user.get_username(),
            person_id=request.user.pk,
            seen=seen,
            refused=refused,
        )
        asked = [trio for trio in trios if trio.pk not in refused]
        if asked:
            said = f"{offered.label} requested with bulk run {run.pk}."
            LogEntry.objects.log_actions(str(request.user.pk), asked, CHANGE, said)
        bulk_carry(run.pk, for_seconds=BULK_AT_ONCE_SECONDS)
        if not job_queue.answering():
            messages.warning(request, QUEUE_SILENT)
        return HttpResponseRedirect(reverse("admin:orders_bulkrun_change", args=[run.pk]))
