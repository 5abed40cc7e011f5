"""A trio order and its legs."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinValueValidator
from django.db import models

from accounts.models import ExchangeAccount
from exchange.types import OrderType, PositionSide, PriceKind, Side, TimeInForce, WorkingType
from orders.domain.chasing import ChaseTerms
from orders.domain.enums import Follow, Form, LegState, Protection, ReversalEnd, Role, TargetPolicy, TrioState
from orders.domain.operator_questions import Kept, Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import (
    ChangeEnd,
    EntryChange,
    ExchangeTrail,
    Move,
    MoveEnd,
    Rung,
    SizeEnd,
    SizeWish,
)
from orders.domain.trailing import FollowEnd, TrailTerms, TrailUnit
from orders.models.book import Slot
from orders.models.fields import amount
from orders.models.symbols import Symbol

ENTRY_TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.STOP)
POSITIVE = [MinValueValidator(Decimal("1E-16"), "must be greater than zero")]


class TrioOrder(models.Model):
    """One decision: an entry, a stop-loss and a take-profit that live and die together.

    Prices are in the quote asset, quantities in the base asset. Only a DRAFT can be edited; everything
    after is a verb. ``stop_loss`` and ``take_profit`` are both empty for an entry-only check
    (``smoke_order``), which is closed the moment it fills.
    """

    # Its own index would be one more to write: ``trio_begun`` begins with the account.
    account = models.ForeignKey(
        ExchangeAccount, on_delete=models.PROTECT, related_name="trios", db_index=False
    )
    symbol = models.ForeignKey(Symbol, on_delete=models.PROTECT, related_name="trios")
    side = models.CharField(max_length=4, choices=[(s.value, s.value) for s in Side])
    position_side = models.CharField(
        max_length=5, choices=[(s.value, s.value) for s in PositionSide], default=PositionSide.BOTH.value
    )
    quantity = amount(validators=POSITIVE)
    entry_type = models.CharField(
        max_length=11, choices=[(kind.value, kind.value) for kind in ENTRY_TYPES], default="MARKET"
    )
    trigger_price = amount(
        null=True, blank=True, validators=POSITIVE, help_text="The mark price that a stop entry waits for."
    )
    price = amount(null=True, blank=True, validators=POSITIVE)
    # An entry ladder: the price and the share in percent of each rung, nearest to the market first; ``price`` is the first
    # one's, ``quantity`` that of all together. Empty: the entry is one order.
    rungs = models.JSONField(default=list, blank=True)
    time_in_force = models.CharField(
        max_length=3, choices=[(t.value, t.value) for t in TimeInForce], default=TimeInForce.GTC.value
    )
    stop_loss = amount(null=True, blank=True, validators=POSITIVE)
    take_profit = amount(null=True, blank=True, validators=POSITIVE)
    protection = models.CharField(max_length=13, choices=[(p.value, p.value) for p in Protection], blank=True)
    # Take-profits for a share each, nearest first: number, level, share in percent. ``take_profit`` takes what they leave.
    part_targets = models.JSONField(default=list, blank=True)
    follow = models.CharField(
        max_length=10, blank=True, default="", choices=[(f.value, f.value) for f in Follow if f.value]
    )
    target_policy = models.CharField(
        max_length=9, choices=[(p.value, p.value) for p in TargetPolicy], default=TargetPolicy.ROLL_BACK.value
    )
    good_till = models.DateTimeField(null=True, blank=True)
    hold_seconds = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    flat_at = models.DateTimeField(null=True, blank=True)

    state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in TrioState], default=TrioState.DRAFT.value
    )
    result = models.CharField(max_length=16, blank=True)
    cause = models.CharField(max_length=16, blank=True)
    reason = models.TextField(blank=True)
    # What a person is asked: the kind, and the facts it is about. The sentence is made where it is shown.
    question_kind = models.CharField(
        max_length=24, blank=True, choices=[(kind.value, kind.value) for kind in QuestionKind]
    )
    question_facts = models.JSONField(null=True, blank=True)
    question_number = models.BigIntegerField(
        null=True, blank=True, help_text="The line of its story that asked; its answer refers to it."
    )
    # Questions that were answered and are not asked again, and those that wait for their turn (``Kept``).
    questions_kept = models.JSONField(default=list, blank=True)

    # Of ``LevelMove`` and ``SizeChange``, what a decision needs: levels that are wished for, by role, the roles whose level
    # was moved, how many part targets the stop has followed, and the sizes that are wished for.
    moves = models.JSONField(default=dict, blank=True)

    # A position that was opened elsewhere and adopted: who did, what it was, and somebody else's orders beside it
    # (``orders.placement.adoption`` says in which form). Empty: the entry is an order of ours.
    adoption = models.JSONField(null=True, blank=True)
    # What the drift policy, or an answer, has taken on of somebody else's orders: ``orders``, in the form of ``adoption``.
    # ``unprotected``: a person's word that a stop which is cancelled outside is not placed again: by, since, until (our clock, ms).
    outside = models.JSONField(default=dict, blank=True)
    # The terms that are wished for of its resting entry: of ``EntryChangeWish``, what a decision needs.
    entry_change = models.JSONField(null=True, blank=True)
    amending_notional = amount(
        null=True, help_text="What its entry may come to by a change whose fate is not known yet."
    )

    margin_promised = amount(
        default=Decimal(0), help_text="Margin and fee that its entry needs, as checked when it was queued."
    )
    checked_mark = amount(
        null=True,
        help_text="The mark price at which it was checked last, when queued or when its placing began.",
    )
    slot = models.ForeignKey(Slot, null=True, blank=True, on_delete=models.PROTECT, related_name="trios")
    holds_slot = models.BooleanField(default=False)
    place_before = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)
    # What is indexed instead of ``wake_at``, whose index would have to be written with every fact.
    awake = models.GeneratedField(
        expression=models.Q(wake_at__isnull=False),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )
    cancel_wanted_at = models.DateTimeField(null=True, blank=True)
    close_wanted_at = models.DateTimeField(null=True, blank=True)
    panic_wanted_at = models.DateTimeField(null=True, blank=True)
    observing_since = models.DateTimeField(null=True, blank=True)
    uncovered_known_at = models.DateTimeField(null=True, blank=True)
    uncovered_ms = models.BigIntegerField(default=0)
    uncovered_longest_ms = models.BigIntegerField(default=0)
    uncovered_refused_ms = models.BigIntegerField(
        default=0,
        help_text="The part of it in which the exchange refused or lost a stop or exit of this trio.",
    )
    forced = models.CharField(
        max_length=24,
        blank=True,
        help_text="How the exchange itself closed the position: liquidation, ADL, …",
    )
    failures = models.PositiveIntegerField(default=0)
    # The head of the trio's journal: the hash of its last line, how many lines, when the last was written.
    journal_head = models.CharField(max_length=64, blank=True)
    journal_length = models.PositiveIntegerField(default=0)
    journal_at = models.DateTimeField(null=True, blank=True)

    source = models.CharField(max_length=64, default="admin")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    QUESTION_FIELDS: ClassVar = ("question_kind", "question_facts", "question_number", "questions_kept")
    SPEC_FIELDS: ClassVar = (
        "account",
        "symbol",
        "side",
        "position_side",
        "quantity",
        "entry_type",
        "trigger_price",
        "price",
        "rungs",
        "time_in_force",
        "stop_loss",
        "take_profit",
        "part_targets",
        "follow",
        "protection",
        "target_policy",
        "good_till",
        "hold_seconds",
        "flat_at",
    )

    class Meta:
        ordering = ("-id",)
        verbose_name = "trio order"
        permissions = (
            ("place_trioorder", "Can place trio orders"),
            ("cancel_trioorder", "Can cancel trio orders"),
            ("close_trioorder", "Can close trio orders at market"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("slot",), condition=models.Q(holds_slot=True), name="slot_held_once"
            ),
            models.CheckConstraint(
                condition=models.Q(holds_slot=False) | models.Q(slot__isnull=False), name="holder_has_slot"
            ),
        )
        indexes = (
            models.Index(fields=("id",), condition=models.Q(awake=True), name="trio_awake"),
            models.Index(fields=("state",), name="trio_state"),
            models.Index(fields=("account", "begun_at"), name="trio_begun"),
            models.Index(fields=("id",), condition=~models.Q(question_kind=""), name="trio_asks"),
            # Unlike others, this kind need not be written with every change of the row.
            BrinIndex(fields=("created_at",), pages_per_range=8, autosummarize=True, name="trio_made"),
            BrinIndex(fields=("journal_at",), pages_per_range=8, autosummarize=True, name="trio_journaled"),
        )

    def __str__(self) -> str:
        return f"Trio {self.pk} {self.side} {self.symbol.symbol}" if self.pk else "New trio order"

    @property
    def trio_state(self) -> TrioState:
        return TrioState(self.state)

    @property
    def asked(self) -> Question | None:
        """Return what a person is being asked, if anything."""
        if not self.question_kind:
            return None
        return Question(QuestionKind(self.question_kind), self.question_facts or {})

    @asked.setter
    def asked(self, question: Question | None) -> None:
        self.question_kind = "" if question is None else question.kind.value
        self.question_facts = None if question is None else dict(question.facts)
        self.question_number = None

    @property
    def kept(self) -> tuple[Kept, ...]:
        """Return the questions that were answered or wait for their turn, oldest first."""
        return tuple(Kept.from_json(row) for row in self.questions_kept)

    @kept.setter
    def kept(self, kept: Iterable[Kept]) -> None:
        self.questions_kept = [question.as_json() for question in kept]

    @property
    def question(self) -> str:
        """Return what a person is being asked as a sentence, empty when nothing is. To be shown, never compared."""
        return "" if self.asked is None else self.asked.sentence

    @property
    def moves_wanted(self) -> tuple[Move, ...]:
        """Return the levels that are wished for, one a role at most."""
        return tuple(
            Move(wish["number"], Role(role), Decimal(wish["level"]), wish["since"])
            for role, wish in self.moves.get("wanted", {}).items()
        )

    @property
    def roles_moved(self) -> frozenset[Role]:
        """Return the roles whose level is another than the trio was placed with."""
        return frozenset(map(Role, self.moves.get("moved", ())))

    def moves_put(self, wanted: Iterable[Move], moved: Iterable[Role]) -> None:
        """Put the levels that are wished for, and the roles that were moved, into the row."""
        self.moves = self.moves | {
            "wanted": {
                move.role.value: {"number": move.number, "level": str(move.level), "since": move.since}
                for move in wanted
            },
            "moved": sorted(moved),
        }

    @property
    def sizes_wanted(self) -> tuple[SizeWish, ...]:
        """Return the sizes that are wished for."""
        return tuple(
            SizeWish(wish["number"], Role(wish["role"]), Decimal(wish["quantity"]), wish["since"])
            for wish in self.moves.get("sizes", ())
        )

    def sizes_put(self, wishes: Iterable[SizeWish]) -> None:
        """Put the sizes that are wished for into the row."""
        rows = [
            {"number": w.number, "role": w.role.value, "quantity": str(w.quantity), "since": w.since}
            for w in wishes
        ]
        self.moves = self.moves | {"sizes": rows}

    @property
    def exchange_trail(self) -> ExchangeTrail | None:
        """Return the exchange's own trailing order that is wished for."""
        wish = self.moves.get("exchange_trail")
        if wish is None:
            return None
        activation = None if wish["activation"] is None else Decimal(wish["activation"])
        return ExchangeTrail(
            wish["number"], Decimal(wish["rate"]), activation, WorkingType(wish["working_type"])
        )

    def exchange_trail_put(self, wish: ExchangeTrail | None) -> None:
        """Put the exchange's own trailing order that is wished for into the row; ``None``: none is any more."""
        others = {name: value for name, value in self.moves.items() if name != "exchange_trail"}
        if wish is not None:
            others["exchange_trail"] = {
                "number": wish.number,
                "rate": str(wish.rate),
                "activation": None if wish.activation is None else str(wish.activation),
                "working_type": wish.working_type.value,
            }
        self.moves = others

    @property
    def targets_followed(self) -> int:
        """Return how many part targets the stop has followed already."""
        return int(self.moves.get("followed", 0))

    @property
    def is_followed(self) -> bool:
        """Does its stop or its entry follow the price, or wait for one?"""
        return bool(self.moves.get("follows"))

    @property
    def is_trailing(self) -> bool:
        """Does its stop follow the price?"""
        return "trail" in self.moves.get("follows", ())

    @property
    def is_chasing(self) -> bool:
        """Does its resting entry follow the price?"""
        return "chase" in self.moves.get("follows", ())

    def follows_put(self, kind: str, follows: bool) -> None:
        """Put into the row that a trail (or break-even at a price, or a chase) has begun, or ended."""
        others = {known for known in self.moves.get("follows", ()) if known != kind}
        self.moves = self.moves | {"follows": sorted(others | {kind} if follows else others)}

    @property
    def is_adopted(self) -> bool:
        return self.adoption is not None

    @property
    def unprotected_until(self) -> int | None:
        """Until when (our clock, ms) a person wants that a stop which is cancelled outside is not placed again."""
        found = self.outside.get("unprotected")
        return None if found is None else int(found["until"])

    @property
    def change_wanted(self) -> EntryChange | None:
        """Return the terms that are wished for of the resting entry, if any."""
        wish = self.entry_change
        if not wish:
            return None
        return EntryChange(
            wish["number"], Decimal(wish["quantity"]), Decimal(wish["price"]), wish["since"], wish["opens"]
        )

    @change_wanted.setter
    def change_wanted(self, change: EntryChange | None) -> None:
        self.entry_change = (
            None
            if change is None
            else {
                "number": change.number,
                "quantity": str(change.quantity),
                "price": str(change.price),
                "since": change.since,
                "opens": change.opens,
            }
        )

    @property
    def is_entry_only(self) -> bool:
        return self.stop_loss is None and self.take_profit is None

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """Return the rungs of its entry; empty where it is one order."""
        return tuple(
            Rung(place, Decimal(row["price"]), Decimal(row["share"]))
            for place, row in enumerate(self.rungs, start=1)
        )

    @property
    def entry_words(self) -> str:
        """Say how it is entered: “market”, “limit 63000 GTC”, “stop at market, trigger 65000”."""
        kind, words = OrderType(self.entry_type), "market"
        if self.rungs:
            first, *_, last = self.ladder
            prices = f"{plain(first.price)} to {plain(last.price)}"
            return f"ladder of {len(self.rungs)}, limit {prices} {self.time_in_force}"
        if kind.has_price:
            words = f"limit {plain(self.price)} {self.time_in_force}"
        if not kind.is_conditional:
            return words
        how = words if kind.has_price else "at market"
        return f"stop {how}, trigger {plain(self.trigger_price)}"

    @property
    def is_over(self) -> bool:
        return self.trio_state.is_end


class LevelMove(models.Model):
    """A wish to have a trio's stop or target at another level, and how it ended. Prices are in the quote asset."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="level_moves")
    role = models.CharField(
        max_length=12, choices=[(r.value, r.value) for r in (Role.STOP_LOSS, Role.TAKE_PROFIT)]
    )
    level = amount(validators=POSITIVE)
    level_before = amount()
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=150)
    end = models.CharField(max_length=8, blank=True, choices=[(e.value, e.value) for e in MoveEnd])
    ended_at = models.DateTimeField(null=True)
    # Why the exchange took no order at that level, and the level nearest to it that it would have taken.
    refused_code = models.IntegerField(default=0)
    refused_text = models.TextField(blank=True)
    nearest = amount(null=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("trio", "role"), condition=models.Q(end=""), name="one_open_move_a_role"
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} of trio {self.trio_id} to {self.level}"


class SizeChange(models.Model):
    """A wish to take part of a position off, or to add to it, and how it ended. Quantities are in the base asset."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="size_changes")
    role = models.CharField(max_length=11, choices=[(r.value, r.value) for r in (Role.PART_CLOSE, Role.ADD)])
    quantity = amount(validators=POSITIVE)
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=150)
    end = models.CharField(max_length=8, blank=True, choices=[(e.value, e.value) for e in SizeEnd])
    ended_at = models.DateTimeField(null=True)
    filled = amount(default=Decimal(0))
    reference = models.CharField(
        max_length=64,
        null=True,
        unique=True,
        help_text="Idempotency key of whoever asked: a request is made once.",
    )
    # Why nothing of it executed: what the exchange said, or a refusal of our own.
    refused_code = models.IntegerField(default=0)
    refused_text = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("trio",), condition=models.Q(end=""), name="one_open_size_change_a_trio"
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} of {self.quantity}, trio {self.trio_id}"


class EntryChangeWish(models.Model):
    """A wish to have a trio's resting entry at other terms, and how it ended. ``price`` is in the quote asset."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="entry_changes")
    quantity = amount(validators=POSITIVE)
    quantity_before = amount()
    price = amount(validators=POSITIVE)
    price_before = amount()
    good_till = models.DateTimeField(null=True)
    good_till_before = models.DateTimeField(null=True)
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=150)
    end = models.CharField(max_length=9, blank=True, choices=[(e.value, e.value) for e in ChangeEnd])
    ended_at = models.DateTimeField(null=True)
    # Why it was refused: by the exchange, with its code, or by a rule or limit here.
    refused_code = models.IntegerField(default=0)
    refused_text = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("trio",), condition=models.Q(end=""), name="one_open_change_a_trio"
            ),
        )

    def __str__(self) -> str:
        return f"Entry of trio {self.trio_id} to {self.quantity} at {self.price}"

    @property
    def is_about_time_alone(self) -> bool:
        """Is nothing but ``good_till`` another than before?"""
        same = (self.quantity, self.price) == (self.quantity_before, self.price_before)
        return same and self.good_till != self.good_till_before


class PriceFollower(models.Model):
    """What was asked about a trio's stop, or its entry, that hangs on the price. Times suffixed ``_ts`` are exchange milliseconds."""

    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=150)
    since_ts = models.BigIntegerField()
    heard_ts = models.BigIntegerField(help_text="Up to when every price is accounted for.")
    end = models.CharField(max_length=10, blank=True, choices=[(e.value, e.value) for e in FollowEnd])
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        abstract = True


class Trail(PriceFollower):
    """A trio's stop that follows the price: its terms, the best price so far, and how it ended."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="trails")
    distance = amount(validators=POSITIVE)
    unit = models.CharField(max_length=7, choices=[(u.value, u.value) for u in TrailUnit])
    watches = models.CharField(max_length=4, choices=[(k.value, k.value) for k in PriceKind])
    activation = amount(null=True, validators=POSITIVE)
    step = amount(validators=POSITIVE)
    active_ts = models.BigIntegerField(null=True)
    best = amount(null=True)
    best_ts = models.BigIntegerField(null=True)
    run_from = amount(null=True, validators=POSITIVE)  # where the take-profit was that makes way
    by_exchange = models.BooleanField(
        default=False, help_text="The exchange's own order follows, not our stop."
    )
    refused_code = models.IntegerField(default=0)
    refused_text = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("trio",), condition=models.Q(end=""), name="one_trail_a_trio"),
        )

    def __str__(self) -> str:
        return f"Trail of trio {self.trio_id}"

    def terms(self, *, side: str, tick: Decimal) -> TrailTerms:
        """Return its terms, on today's tick."""
        return TrailTerms(
            side=Side(side),
            distance=self.distance,
            tick=tick,
            step=self.step,
            unit=TrailUnit(self.unit),
            activation=self.activation,
            watches=PriceKind(self.watches),
            run_from=self.run_from,
            by_exchange=self.by_exchange,
        )


class Chase(PriceFollower):
    """A resting entry that follows the last price up to a bound, and how that ended. Prices are in the quote asset."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="chases")
    bound = amount(validators=POSITIVE)
    distance = amount(validators=POSITIVE)
    step = amount(validators=POSITIVE)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("trio",), condition=models.Q(end=""), name="one_chase_a_trio"),
        )

    def __str__(self) -> str:
        return f"Chase of trio {self.trio_id}"

    def terms(self, *, side: str, tick: Decimal) -> ChaseTerms:
        """Return its terms, on today's tick."""
        return ChaseTerms(Side(side), self.bound, self.distance, self.step, tick)


class BreakEvenTrigger(PriceFollower):
    """Break-even that waits: for a mark price (named, or so many R from the entry), or for the first target."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="break_evens")
    at_price = amount(null=True, validators=POSITIVE)
    at_r = amount(null=True, validators=POSITIVE)
    after_first_target = models.BooleanField(default=False)
    offset_ticks = models.IntegerField(default=0)
    reached_ts = models.BigIntegerField(null=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("trio",), condition=models.Q(end=""), name="one_break_even_a_trio"
            ),
            models.CheckConstraint(
                condition=models.Q(at_price__isnull=False) | models.Q(after_first_target=True),
                name="break_even_waits_for_something",
            ),
        )

    def __str__(self) -> str:
        return f"Break-even of trio {self.trio_id}"

    @property
    def words(self) -> str:
        """Say what it waits for."""
        if self.at_price is None:
            return "the first target"
        r = "" if self.at_r is None else f" ({plain(self.at_r)} R)"
        return f"a mark price of {plain(self.at_price)}{r}"


class Reversal(models.Model):
    """A wish to close a trio and then, once its side is flat, to open another the other way; and what came of it.

    ``successor`` is written in the transaction that makes it, so that there is one at most, whoever carries the wish out.
    Past ``place_before`` none is made any more. Prices are in the quote asset, the quantity in the base asset.
    """

    trio = models.OneToOneField(TrioOrder, on_delete=models.PROTECT, related_name="reversal")
    successor = models.OneToOneField(
        TrioOrder,
        null=True,
        on_delete=models.PROTECT,
        related_name="reverses",
        help_text="The trio that follows.",
    )
    quantity = amount(validators=POSITIVE)
    stop_loss = amount(validators=POSITIVE)
    take_profit = amount(validators=POSITIVE)
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=150)
    place_before = models.DateTimeField()
    end = models.CharField(max_length=8, blank=True, choices=[(e.value, e.value) for e in ReversalEnd])
    ended_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("id",), condition=models.Q(end=""), name="reversal_open"),)

    def __str__(self) -> str:
        return f"reversal of trio {self.trio_id}"


class Leg(models.Model):
    """One order of a trio, each generation its own row. Times suffixed ``_ts`` are exchange milliseconds."""

    trio = models.ForeignKey(  # found by ``leg_once_per_generation``
        TrioOrder, on_delete=models.PROTECT, related_name="legs", db_index=False
    )
    role = models.CharField(max_length=11, choices=[(r.value, r.value) for r in Role])
    generation = models.PositiveIntegerField()
    client_id = models.CharField(max_length=36, unique=True)
    form = models.CharField(max_length=14, choices=[(f.value, f.value) for f in Form])
    type = models.CharField(max_length=20, choices=[(t.value, t.value) for t in OrderType])
    side = models.CharField(max_length=4, choices=[(s.value, s.value) for s in Side])
    quantity = amount(default=Decimal(0))
    price = amount(null=True)
    trigger_price = amount(null=True)

    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in LegState], default=LegState.PLANNED.value
    )
    filled = amount(default=Decimal(0))
    average_price = amount(null=True)
    acknowledged = models.BooleanField(default=False)
    late = models.BooleanField(default=False, help_text="Was written off, then turned up.")
    # Sent for a wish: for another level of the stop or target, or as the stop that a larger entry will need.
    for_move = models.BooleanField(default=False, help_text="Sent for a level that was wished for.")
    # By role: a part target's number, the wish's that a part close, an add or a trailing order was sent for, a rung's place.
    number = models.BigIntegerField(
        default=0, help_text="Of the part target, or of the wish for another size, it was sent for."
    )
    # What the newest request for other terms of this order asked for.
    amend_quantity = amount(null=True)
    amend_price = amount(null=True)
    order_id = models.BigIntegerField(null=True)
    algo_id = models.BigIntegerField(null=True)
    refused_code = models.IntegerField(default=0)
    refused_text = models.TextField(blank=True)

    accepted_ts = models.BigIntegerField(null=True)
    triggered_ts = models.BigIntegerField(null=True)
    filled_ts = models.BigIntegerField(null=True)
    ended_ts = models.BigIntegerField(null=True)
    seen_ts = models.BigIntegerField(null=True)
    active_ts = models.BigIntegerField(null=True)  # of a trailing order: since when it follows the price

    retry_at = models.DateTimeField(null=True)
    look_at = models.DateTimeField(null=True)
    looking_since = models.DateTimeField(null=True)
    looked_ts = models.BigIntegerField(null=True)
    looks = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("trio", "role", "generation"), name="leg_once_per_generation"),
        )
        indexes = (
            models.Index(fields=("order_id",), name="leg_order_id"),
            # The exchange's numbers grow as rows do; this kind costs an acknowledgement nothing.
            BrinIndex(fields=("algo_id",), pages_per_range=8, autosummarize=True, name="leg_algo_id"),
        )

    def __str__(self) -> str:
        return f"{self.role} {self.generation} of trio {self.trio_id}"

    @property
    def is_conditional(self) -> bool:
        return OrderType(self.type).is_conditional
