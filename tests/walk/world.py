"""One world of the walk: the exchange's truth, our rows, what is under way, and what may still go wrong.

Every part is immutable, so worlds share what they have in common; a world itself is copied before it is
changed. Times are milliseconds; exchange time runs ``OFFSET`` ahead of the database's, so that a mix-up of
the two clocks shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Final

from exchange.types import OrderView
from orders.domain.decision.steps import Plan
from orders.domain.drift import SAFE, DriftPolicy
from orders.domain.enums import Cause, LegState, RequestKind, Role, TrioState, Verdict
from orders.domain.leg_updates import LegFacts
from orders.domain.operator_questions import Question
from orders.domain.snapshot import Move, Policies, Rules, SizeWish, Spec

START: Final = 1_000_000
OFFSET: Final = 4_000_000
LATENCY: Final = 10  # one request's way to the exchange
POLL: Final = 250  # how late the worker's poll may serve a wake-up
RULES: Final = Policies()
RECV_WINDOW: Final = 5000
WHOLE: Final = 3  # lots of the planned entry
LOT: Final = Rules(step_size=Decimal(1))
LOTS: Final = tuple(Decimal(n) for n in range(12))


class Violation(AssertionError):
    """A promise was broken in this world."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much may happen on the way."""

    fills: int = 1
    faults: int = 1
    acts: int = 0
    moves: int = 1  # of the price, to the stop's or the target's level
    races: int = 0  # of what is under way at once: how often something overtakes what is next in turn
    trouble: int = 9  # faults and acts together

    @property
    def words(self) -> str:
        return (
            f"{self.fills} fills, {self.faults} faults, {self.acts} acts ({self.trouble} together), "
            f"{self.moves} moves, {self.races} races"
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of trio to be walked."""

    name: str
    spec: Spec
    bound: Bound
    good_till: int | None = None
    place_before: int = 60_000
    dry_run: bool = False
    hold_for: int | None = None  # ms after the first fill
    drift: DriftPolicy = SAFE
    verbs: tuple[str, ...] = ()  # what a person may do to it while it is open: stop, target, part, add


@dataclass(frozen=True, slots=True)
class LegRow:
    """A row of the leg table."""

    client_id: str
    role: Role
    generation: int
    facts: LegFacts
    number: int = 0
    for_move: bool = False
    refused_code: int = 0
    retry_at: int | None = None
    look_at: int | None = None
    looking_since: int | None = None
    looked_ts: int | None = None
    looks: int = 0

    @property
    def state(self) -> LegState:
        return self.facts.state


@dataclass(frozen=True, slots=True)
class Request:
    """A journal row, and its outcome once there is one."""

    client_id: str
    kind: RequestKind
    timestamp: int
    begun_at: int
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot as we last read it; quantities in lots on the trio's own side."""

    quantity: int = 0
    as_of: int = 0
    from_event: bool = False
    flat_since: int | None = None
    flat_event_ts: int = 0
    mark: Decimal | None = None
    mark_as_of: int = 0


@dataclass(frozen=True, slots=True)
class XOrder:
    """An order as the exchange has it."""

    client_id: str
    role: Role
    conditional: bool
    closing: bool
    quantity: int
    status: str  # NEW, PARTIALLY_FILLED, TRIGGERING, then FILLED, FINISHED, CANCELED, EXPIRED, REJECTED
    filled: int = 0
    placed: int = 0
    updated: int = 0
    triggered: int | None = None
    hidden_until: int = 0  # look-ups and lists do not show it before
    stuck_until: int = 0
    reason: str = ""

    @property
    def live(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED", "TRIGGERING")

    @property
    def born(self) -> bool:
        """Is it an entry that has triggered: an ordinary order by now?"""
        entered = self.role is Role.ENTRY and self.conditional
        return entered and self.triggered is not None and self.status not in ("TRIGGERING", "REJECTED")


@dataclass(frozen=True, slots=True)
class Call:
    """A committed request or read, on its way by whoever committed it."""

    kind: str  # SUBMIT, CANCEL, LOOK, OBSERVE, TEST
    at: int  # exchange time it is stamped with
    client_id: str = ""
    request: int = -1
    plan: Plan | None = None
    witness: bool = False
    child: bool = False  # a cancel of the order born at a trigger, by its number


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    code: int = 0
    view: OrderView | None = None
    failed: bool = False  # a read that got no answer
    position: int = 0
    mark: Decimal | None = None
    key: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something the user stream tells: an order, or (``view`` None) the position."""

    at: int
    view: OrderView | None = None
    position: int = 0
    forced: bool = False  # an order of the exchange's own that closed position


@dataclass(slots=True)
class World:
    setting: Setting
    fills: int
    faults: int
    acts: int
    moves: int
    races: int
    trouble: int
    now: int = START
    # our rows
    state: TrioState = TrioState.QUEUED
    cause: Cause | None = None
    reason: str = ""
    cancel_wanted: bool = False
    close_wanted: bool = False
    panic_wanted: bool = False
    refusal: str = ""
    question: Question | None = None
    answered: tuple[Question, ...] = ()
    forced: str = ""
    spec: Spec | None = None  # with the levels that are agreed by now
    level_moves: tuple[Move, ...] = ()
    moved: frozenset[Role] = frozenset()
    sizes: tuple[SizeWish, ...] = ()
    followed: int = 0
    wishes: int = 0  # how many a person, or a target that executed, has made
    ended_at: int | None = None
    settled: tuple[tuple[str, Decimal], ...] = ()  # what was known to have opened when it last ended
    observing_since: int | None = None
    uncovered_known_at: int | None = None
    wake_at: int | None = START
    legs: tuple[LegRow, ...] = ()
    requests: tuple[Request, ...] = ()
    slot: Slot = field(default_factory=Slot)
    blind_until: int = 0  # nothing new may be placed before: no worker, or no watch
    # the exchange
    orders: tuple[XOrder, ...] = ()
    position: int = 0
    before: int = 0  # the position before its last change, and when that was
    changed_ts: int = 0
    bar: tuple[int, int] = (0, 0)  # until when (exchange ms) every stop is refused, and with which code
    zone: int = 0  # the price: -1 at the stop's level, 1 at the target's
    meddled: bool = False  # a person changed the position
    held: bool = False  # all of what the ended entry filled was covered once
    undisturbed: bool = True  # nothing but the market and our own verbs has happened
    # under way
    calls: tuple[Call, ...] = ()
    answers: tuple[tuple[Call, Answer], ...] = ()
    paused: tuple[Call, ...] = ()  # their process hangs; it may send and record them any time
    adrift: tuple[Call, ...] = ()  # given up by us, still in the network
    events: tuple[Event, ...] = ()
    stray: tuple[Event, ...] = ()  # events that come late
    watch_at: int | None = None  # when the price watch misses an event
    watched: str = ""
    sweep_at: int | None = None
    # judgement
    naked_since: int | None = None
    disturbed: int = 0  # exchange time of the last fault to one of this trio's own requests
    unseen: int = 0  # until then a gap is P6's: cover vanished without any event
    deaths: int = 0
    idle: int = 0
    entries_taken: int = 0
    said: Any = None  # the last decision, for the story

    @property
    def now_ts(self) -> int:
        return self.now + OFFSET

    @property
    def agreed(self) -> Spec:
        return self.spec or self.setting.spec

    def copy(self) -> World:
        twin = World.__new__(World)
        for name in FIELDS:
            setattr(twin, name, getattr(self, name))
        return twin

    def leg(self, client_id: str) -> LegRow:
        return next(leg for leg in self.legs if leg.client_id == client_id)

    def put_leg(self, row: LegRow) -> None:
        """Replace the row of this id, or add it."""
        for place, leg in enumerate(self.legs):
            if leg.client_id == row.client_id:
                self.legs = (*self.legs[:place], row, *self.legs[place + 1 :])
                return
        self.legs = (*self.legs, row)

    def newest_request(self, client_id: str, kind: RequestKind) -> Request | None:
        for request in reversed(self.requests):
            if request.client_id == client_id and request.kind is kind:
                return request
        return None

    def order(self, client_id: str) -> XOrder | None:
        return next((order for order in self.orders if order.client_id == client_id), None)

    def put_order(self, order: XOrder) -> None:
        self.orders = (*(o for o in self.orders if o.client_id != order.client_id), order)

    def set_verdict(self, place: int, verdict: Verdict) -> None:
        changed = replace(self.requests[place], verdict=verdict)
        self.requests = (*self.requests[:place], changed, *self.requests[place + 1 :])


FIELDS: Final = tuple(f.name for f in fields(World))


def first_world(setting: Setting) -> World:
    """Return a queued trio whose account was swept a moment ago, on a flat slot."""
    bound = setting.bound
    return World(
        setting=setting,
        fills=bound.fills,
        faults=bound.faults,
        acts=bound.acts,
        moves=bound.moves,
        races=bound.races,
        trouble=bound.trouble,
        slot=Slot(as_of=START + OFFSET - 3000),
    )
