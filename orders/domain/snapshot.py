"""What a decision is made from: one trio as the database shows it under its row lock.

Two clocks, both in milliseconds: names ending in ``_ts`` are exchange time, all others are the
database's (``now``). Quantities are on the trio's own side: a position of ours is positive.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import (
    ZERO,
    ExchangeMs,
    OrderType,
    OurMs,
    PositionMode,
    PositionSide,
    Side,
    TimeInForce,
    WorkingType,
)
from orders.domain.drift import SAFE, DriftPolicy
from orders.domain.enums import Cause, Follow, Form, LegState, Protection, Role, TargetPolicy, TrioState
from orders.domain.limits import Breach
from orders.domain.operator_questions import Question

LEGS_A_TRIO: Final = 2  # conditional orders that a trio keeps room for: its stop-loss and its take-profit


class RequestStatus(enum.StrEnum):
    """Where a request of ours stands."""

    NONE = "NONE"
    IN_FLIGHT = "IN_FLIGHT"
    IN_DOUBT = "IN_DOUBT"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Policies:
    """Bounds, in milliseconds (``backoffice.settings`` documents each)."""

    patience: int = 600
    naked_limit: int = 2000
    absence_margin: int = 10_000
    look_again: int = 1000
    back_off: int = 200
    slot_age_max: int = 30_000
    armed_alone: int = 19_000  # how long legs may rest before an entry that cannot be sent


@dataclass(frozen=True, slots=True)
class Rules:
    """A symbol's filters as they are now. ``None``: the exchange states no such rule."""

    symbol: str = ""
    trading: bool = True
    status: str = ""
    tick_size: Decimal | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    step_size: Decimal | None = None
    quantity_min: Decimal | None = None
    quantity_max: Decimal | None = None
    market_step_size: Decimal | None = None
    market_quantity_min: Decimal | None = None
    market_quantity_max: Decimal | None = None
    notional_min: Decimal | None = None
    multiplier_up: Decimal | None = None
    multiplier_down: Decimal | None = None
    orders_max: int | None = None  # open orders of one account; those that wait for a trigger do not count


@dataclass(frozen=True, slots=True)
class PartTarget:
    """A take-profit for a share of the position, in percent; ``number``: its own, never given twice in a trio."""

    number: int
    level: Decimal
    share: Decimal


@dataclass(frozen=True, slots=True)
class Rung:
    """One order of an entry ladder: its limit price, and its share of the quantity in percent. ``number``: its place, from 1."""

    number: int
    price: Decimal
    share: Decimal


def ladder_price(rungs: Iterable[Rung], *, least: Decimal = ZERO) -> Decimal:
    """Return the average price of these rungs, none of which counts for less than ``least``."""
    rungs = tuple(rungs)
    whole: Decimal = sum((rung.share for rung in rungs), ZERO)
    return sum((rung.share * max(rung.price, least) for rung in rungs), ZERO) / (whole or 1)


@dataclass(frozen=True, slots=True)
class Spec:
    """The trio as a person meant it, already in whole ticks and steps.

    ``part_targets``: in the order in which the price meets them, all before ``take_profit``, which takes what they leave.
    ``rungs``: of an entry ladder, in the order in which the price meets them; ``price`` is the first one's, ``quantity`` that of
    all together.
    """

    side: Side
    position_side: PositionSide
    mode: PositionMode
    quantity: Decimal
    entry_type: OrderType
    protection: Protection
    price: Decimal | None = None  # of a LIMIT or STOP entry
    time_in_force: TimeInForce = TimeInForce.GTC
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    target_policy: TargetPolicy = TargetPolicy.ROLL_BACK
    tick: Decimal | None = None
    multiplier_up: Decimal | None = None  # the band around the mark price in which orders may be priced
    multiplier_down: Decimal | None = None
    part_targets: tuple[PartTarget, ...] = ()
    follow: Follow = Follow.NOTHING
    trigger_price: Decimal | None = None  # of a STOP_MARKET or STOP entry: the mark price it waits for
    rungs: tuple[Rung, ...] = ()

    @property
    def legs_wanted(self) -> int:
        """Conditional orders that a trio keeps room for: its legs, where they change in size a second stop, and an entry
        that waits for its trigger."""
        parts = len(self.part_targets) + bool(self.part_targets)
        return LEGS_A_TRIO + parts + self.entry_type.is_conditional

    @property
    def rests(self) -> bool:
        """May the entry rest on the exchange before anything fills?"""
        return self.entry_type is not OrderType.MARKET

    @property
    def entry_price(self) -> Decimal | None:
        """The price at which the entry is reckoned: its limit, else its trigger; ``None``: at market, at the mark price.

        Of a ladder it is the average of all rungs.
        """
        if self.rungs:
            return ladder_price(self.rungs)
        return self.price if self.entry_type.has_price else self.trigger_price

    @property
    def entry_prices(self) -> tuple[tuple[str, Decimal], ...]:
        """What the stop and the target must lie on either side of, with the name of each."""
        if self.rungs:
            return tuple((f"price of rung {rung.number}", rung.price) for rung in self.rungs)
        trigger = self.trigger_price if self.entry_type.is_conditional else None
        limit = self.price if self.entry_type.has_price else None
        named = (("trigger price", trigger), ("entry price", limit))
        return tuple((name, price) for name, price in named if price is not None)

    def worst_price(self, mark: Decimal | None) -> Decimal | None:
        """What a unit of the entry may come to; ``None``: not known. A sale's limit fills at the market when that is higher."""
        if self.rungs:
            return ladder_price(self.rungs, least=ZERO if self.side is Side.BUY else mark or ZERO)
        price = mark if self.entry_type is OrderType.MARKET else self.entry_price
        if price is None or self.side is Side.BUY or not self.entry_type.has_price:
            return price
        return max(price, self.trigger_price or mark or ZERO)

    @property
    def exit_side(self) -> Side:
        return self.side.opposite

    @property
    def entry_only(self) -> bool:
        return self.stop_loss is None and self.take_profit is None


@dataclass(frozen=True, slots=True)
class Amendment:
    """The newest request of ours for other terms of a resting order, and where it stands.

    ``certain_ts``: what a look-up that is asked later than that does not show was never executed.
    """

    quantity: Decimal
    price: Decimal
    status: RequestStatus
    asked_at: int = 0
    asked_ts: int = 0
    certain_ts: int = 0
    refusal: Refusal | None = None
    code: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class LegView:
    """One order of the trio. ``submit`` is the request that places it, ``cancel`` the one that takes it back."""

    client_id: str
    role: Role
    generation: int
    form: Form
    state: LegState
    quantity: Decimal = ZERO
    filled: Decimal = ZERO
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    acknowledged: bool = False
    submit: RequestStatus = RequestStatus.NONE
    submitted_at: int = 0
    submitted_ts: int = 0
    cancel: RequestStatus = RequestStatus.NONE
    cancel_at: int = 0
    refusal: Refusal | None = None  # what the exchange's code means
    refused_code: int = 0
    refused_text: str = ""
    accepted_ts: int | None = None
    triggered_ts: int | None = None
    child_known: bool = False  # the ordinary order born at its trigger has shown itself
    filled_ts: int | None = None
    ended_ts: int | None = None
    retry_at: int | None = None
    look_at: int | None = None
    looking_since: int | None = None
    looked_ts: int | None = None  # when it was last looked up and answered
    looks: int = 0
    late: bool = False  # was written off, then turned up
    settled: Decimal = ZERO  # of a late one: what of it was known to have filled when its trio last ended
    tested: bool = False  # the exchange has checked it in a dry run, and would take it
    number: int = (
        0  # its part target's, its wish's (another size, a trailing order), or a rung's place; 0: of none
    )
    average_price: Decimal | None = None
    for_move: bool = False  # sent for a wish: for another level, or for a larger entry
    amend: Amendment | None = None
    active: bool = False  # of a trailing order: it follows the price, by the exchange's word

    @property
    def live(self) -> bool:
        return self.state.is_live

    @property
    def executed(self) -> bool:
        return self.filled > 0

    @property
    def pending(self) -> bool:
        """Sent, and its fate not known yet."""
        return self.state is LegState.SUBMITTED


@dataclass(frozen=True, slots=True)
class Stranger:
    """An order in the slot that belongs to no living trio of ours; ``text``: what it is, for people."""

    client_id: str
    conditional: bool
    text: str


@dataclass(frozen=True, slots=True)
class SlotView:
    """The slot as the exchange last showed it. ``opposite`` is a stranger's one-way position."""

    quantity: Decimal = ZERO
    opposite: Decimal = ZERO
    as_of: int = 0
    from_event: bool = False
    flat_since: int | None = None
    flat_event_ts: int = 0  # when an event said flat, if nothing has said otherwise since
    mark_price: Decimal | None = None
    mark_as_of: int = 0
    strangers: tuple[str, ...] = ()
    stranger_orders: tuple[Stranger, ...] = ()  # of these, what is known by its id
    placeable: bool = False  # read lately enough, its watch alive, its stream unbroken since
    not_placeable: str = ""  # and if not, why, in words


@dataclass(frozen=True, slots=True)
class Silence:
    """The exchange does not serve our address: until when (our clock, and as people read it), and why."""

    until: int
    until_text: str
    cause: Refusal
    account: str
    symbol: str


class MoveEnd(enum.StrEnum):
    """How a wish for another level ended."""

    DONE = "DONE"  # an order at the new level was acknowledged; the one at the old level is taken back
    REFUSED = "REFUSED"  # the exchange took no order at that level; the old one stays
    DROPPED = "DROPPED"  # the trio is on its way out
    REPLACED = "REPLACED"  # by a later wish


@dataclass(frozen=True, slots=True)
class Move:
    """A wish to have the stop or the target at another level. ``since``: when it was made (our clock)."""

    number: int
    role: Role
    level: Decimal
    since: int


@dataclass(frozen=True, slots=True)
class EndedMove:
    """A wish that this decision ends; ``order``: the one that the exchange refused."""

    move: Move
    end: MoveEnd
    order: LegView | None = None


@dataclass(frozen=True, slots=True)
class ExchangeTrail:
    """A wish for the exchange's own trailing order: percent behind the best price, from its activation on (``None``: at once)."""

    number: int
    rate: Decimal
    activation: Decimal | None
    working_type: WorkingType


class SizeEnd(enum.StrEnum):
    """How a wish for another size ended."""

    DONE = "DONE"  # its order executed, wholly or in part
    REFUSED = "REFUSED"  # nothing of it executed
    DROPPED = "DROPPED"  # the trio is on its way out


@dataclass(frozen=True, slots=True)
class SizeWish:
    """A wish to take part of the position off, or to add to it, at market. ``since``: when it was made (our clock)."""

    number: int
    role: Role  # PART_CLOSE or ADD
    quantity: Decimal
    since: int


@dataclass(frozen=True, slots=True)
class EndedSize:
    """A wish for another size that this decision ends; ``order``: the one sent for it; ``why``: a refusal of our own."""

    wish: SizeWish
    end: SizeEnd
    order: LegView | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else's order beside an adopted position, which a person named to be cancelled, and which is not gone yet."""

    client_id: str
    cancel: RequestStatus = RequestStatus.NONE
    cancel_at: int = 0
    again_at: int = 0  # not asked to be cancelled again before
    look_at: int = 0  # not looked up (again) before
    looking_since: int | None = None


class ChangeEnd(enum.StrEnum):
    """How a wish for other terms of the resting entry ended."""

    DONE = "DONE"  # the exchange has the entry with these terms
    CANCELLED = "CANCELLED"  # so much had filled by then: what was unfilled is cancelled
    REFUSED = "REFUSED"  # by the exchange, or by a rule or limit when it was to be sent
    DROPPED = "DROPPED"  # the entry had ended, or the trio is on its way out
    REPLACED = "REPLACED"  # by a later wish
    OVERDUE = "OVERDUE"  # it could not be sent in time


@dataclass(frozen=True, slots=True)
class EntryChange:
    """A wish to have the resting entry at other terms. ``since``: when it was made (our clock); ``opens``: it is new risk."""

    number: int
    quantity: Decimal
    price: Decimal
    since: int
    opens: bool


@dataclass(frozen=True, slots=True)
class EndedChange:
    """A wish that this decision ends, and why, in words where there is more to say."""

    change: EntryChange
    end: ChangeEnd
    reason: str = ""
    code: int = 0
    breach: Breach | None = None


@dataclass(frozen=True, slots=True)
class TrioSnapshot:
    spec: Spec
    state: TrioState
    now: OurMs
    now_ts: ExchangeMs
    account: str = ""  # its name
    stem: str = "test-1"  # what all client ids of this trio begin with
    ended_at: int | None = None  # when it last came to an end
    cause: Cause | None = None
    reason: str = ""
    legs: tuple[LegView, ...] = ()
    slot: SlotView = field(default_factory=SlotView)
    policies: Policies = field(default_factory=Policies)
    cancel_wanted: bool = False
    close_wanted: bool = False
    panic_wanted: bool = False
    place_before: int | None = None
    good_till: int | None = None
    worker_alive: bool = True
    dry_run: bool = False
    dry_run_passed: bool = False
    refusal: str = ""  # a limit or setting that forbids new risk, in words
    breach: Breach | None = None  # the limit, where it is one of ours
    conditionals: int = 0  # of the account's other trios: what rests, and what they keep room for
    stranger_conditionals: int = 0  # of the account, not ours
    question: Question | None = None  # what a person is being asked
    answered: tuple[Question, ...] = ()  # what a person has answered, and not to be asked again
    observing_since: int | None = None
    uncovered_known_at: int | None = None
    hold_until_ts: int | None = None  # when the holding time is over, once there is something to hold
    flat_ts: int | None = None  # by when it is to be flat, whenever it was filled
    silence: Silence | None = None
    rules: Rules = field(default_factory=Rules)  # the symbol's, as they are now; ``spec`` fits their tick
    forced: str = ""  # how the exchange itself closed position of this slot, in a word or two
    moves: tuple[Move, ...] = ()  # wished for, one a role at most
    moved: frozenset[Role] = frozenset()  # whose level is another than it was placed with
    ended_moves: tuple[EndedMove, ...] = ()  # by this decision
    exchange_trail: ExchangeTrail | None = None  # the exchange's own trailing order, wished for
    ended_trail: LegView | None = None  # by this decision: the exchange refused it
    sizes: tuple[SizeWish, ...] = ()  # wished for, one at a time
    ended_sizes: tuple[EndedSize, ...] = ()  # by this decision
    size_refusal: str = ""  # a limit or setting that forbids to add, in words
    followed: int = 0  # how many part targets the stop has followed already
    adopted: bool = False  # its entry is a position that was opened elsewhere
    occupied: frozenset[Role] = frozenset()  # where somebody else's closePosition order was left
    foreign: tuple[Foreign, ...] = ()  # somebody else's orders, to be cancelled
    foreign_known: frozenset[str] = frozenset()  # ids of all that a person or the policy has decided about
    named: tuple[Stranger, ...] = ()  # somebody else's orders that this decision takes on, to be cancelled
    drift: DriftPolicy = SAFE
    unprotected_until: int | None = (
        None  # a person's word: a stop that is cancelled outside is not placed again before
    )
    change: EntryChange | None = None  # of the resting entry, wished for
    ended_change: EndedChange | None = None  # by this decision
    agreed: bool = False  # by this decision the entry's terms are those that we asked for

    # --- legs by role -----------------------------------------------------------------------

    def level(self, role: Role) -> Decimal | None:
        """Return the agreed level of the stop or the target, on today's tick."""
        return self.spec.stop_loss if role is Role.STOP_LOSS else self.spec.take_profit

    def every(self, role: Role) -> tuple[LegView, ...]:
        return tuple(leg for leg in self.legs if leg.role is role)

    def of(self, role: Role) -> tuple[LegView, ...]:
        """Return the orders of a role, without those that were sent for a wish and are not at the agreed level, or were refused."""
        return tuple(leg for leg in self.every(role) if not leg.for_move or self._is_agreed(leg))

    def _is_agreed(self, leg: LegView) -> bool:
        refused = leg.state is LegState.REJECTED and not leg.acknowledged
        return leg.trigger_price == self.level(leg.role) and not refused

    def newest(self, role: Role) -> LegView | None:
        legs = self.of(role)
        return legs[-1] if legs else None

    @property
    def entry(self) -> LegView | None:
        return self.newest(Role.ENTRY)

    @property
    def rungs(self) -> tuple[LegView, ...]:
        """The orders of the entry that were made: one, or those of a ladder."""
        entry = self.entry
        further = self.every(Role.RUNG)
        return further if entry is None else (entry, *further)

    @property
    def entries(self) -> tuple[LegView, ...]:
        """All orders that enlarge the position: the entry, or the rungs of its ladder, and what was added."""
        return tuple(leg for leg in self.legs if leg.role.opens)

    @property
    def protective_legs(self) -> tuple[LegView, ...]:
        """The stops and targets, and the exchange's own trailing order."""
        return tuple(leg for leg in self.legs if leg.role in PROTECTIVE)

    def may_ask(self, question: Question) -> bool:
        """Is this neither asked now nor answered already?"""
        known = self.answered if self.question is None else (*self.answered, self.question)
        return not any(question.same_as(other) for other in known)

    # --- what we hold -----------------------------------------------------------------------

    @property
    def entry_filled(self) -> Decimal:
        """Quantity the entry with all its rungs, and what was added to it, has filled so far."""
        return _sum(leg.filled for leg in self.entries)

    @property
    def exit_filled(self) -> Decimal:
        """Quantity our stops, targets and exits have closed again."""
        return _sum(leg.filled for leg in self.legs if not leg.role.opens)

    @property
    def ours(self) -> Decimal:
        return max(ZERO, self.entry_filled - self.exit_filled)

    @property
    def executed_ts(self) -> int:
        """Exchange time of the newest execution we know of, 0 before any."""
        return max((leg.filled_ts or 0 for leg in self.legs), default=0)

    @property
    def slot_is_newer(self) -> bool:
        return self.slot.as_of >= self.executed_ts

    @property
    def flat_believed(self) -> bool:
        """Does the slot read flat, and is that to be believed?

        Against a known fill it takes an event later than the fill, or a second look a second after the
        first: position look-ups lag. A position on the other side needs neither: none was there before us.
        While a closePosition order of ours, which expires with its position, is still found resting, those looks
        are doubted for as long as any other absence.
        """
        if self.slot.quantity > 0 or not self.slot_is_newer:
            return False
        if self.ours == 0 or self.slot.opposite > 0 or 0 < self.executed_ts <= self.slot.flat_event_ts:
            return True
        since = self.slot.flat_since
        if since is None:
            return False
        if self.flat_contradicted:
            return self.slot.as_of - since >= self.policies.absence_margin
        if since >= self.executed_ts:
            return self.slot.as_of - since >= self.policies.look_again
        # Flat since before the fill is dated: a cancel's answer, say, dates a fill by its own time. What
        # is read two seconds after that says as much as two looks.
        return self.slot.as_of - self.executed_ts >= 2 * self.policies.look_again

    @property
    def flat_witness(self) -> LegView | None:
        """Return an order of ours that would have expired with the position, if we believe one still rests."""
        whole = (leg for leg in self.protective_legs if leg.live and leg.form is Form.CLOSE_POSITION)
        return next((leg for leg in whole if leg.triggered_ts is None), None)

    @property
    def flat_contradicted(self) -> bool:
        """Was such an order found resting after the position was reported gone?"""
        witness, since = self.flat_witness, self.slot.flat_since
        return witness is not None and since is not None and (witness.looked_ts or 0) > since

    @property
    def position(self) -> Decimal:
        """Quantity on our side, as far as anybody knows."""
        if self.slot_is_newer:
            return self.slot.quantity if self.slot.quantity > 0 or self.flat_believed else self.ours
        return self.ours


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, ZERO)


PROTECTIVE = (Role.STOP_LOSS, Role.TAKE_PROFIT, Role.PART_TARGET, Role.TRAIL)
STOP_WORKING_TYPE = WorkingType.MARK_PRICE
# As its stop: a price that triggers the one has not passed the other.
ENTRY_WORKING_TYPE = WorkingType.MARK_PRICE
TARGET_WORKING_TYPE = WorkingType.CONTRACT_PRICE
