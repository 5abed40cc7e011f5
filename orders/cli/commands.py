"""What the commands on trios share: refusals as one sentence, numbers, ``--wait``, one document."""

from __future__ import annotations

import re
from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

from django.db import transaction
from django.utils import timezone

from accounts.cli import CommandResult, ScriptCommand, trio_number
from accounts.errors import AccountsError
from accounts.models import ExchangeAccount
from accounts.operators import os_operator
from exchange.errors import ExchangeError
from infrastructure.connections import UNANSWERED, database_silent
from local_servers.manager import EmbeddedServersError
from orders import risk_gates
from orders.cli.document import trio_document, trio_sentence
from orders.cli.wait import OTHER_END, Baseline, wait_for
from orders.domain.enums import Follow, Role
from orders.domain.errors import OrdersError, TrioRefused
from orders.domain.moments import moment_problem
from orders.domain.snapshot import ChangeEnd
from orders.domain.written import comma_hint
from orders.installation import install_refusal
from orders.models import EntryChangeWish, LevelMove, SizeChange, TrioEvent, TrioOrder
from orders.services import Reading, trio_move, trio_queue
from orders.story import change_sentence, move_sentence, size_sentence

Wish: TypeAlias = LevelMove | SizeChange | EntryChangeWish
WAIT_MAX: Final = 7 * 86_400
NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
NOBODY_ACTS: Final = (
    "No runworker is alive: the request is stored, and carried out when one starts (“manage.py runworker”)."
)


QUEUE_SILENT: Final = (
    "The queue (Redis, Valkey) does not answer. The trio is queued and placed once it is back; it expires if that takes "
    "more than a minute."
)


class TrioCommand(ScriptCommand):
    """A command on trios."""

    refusals = (AccountsError, OrdersError, ExchangeError, EmbeddedServersError)

    def outcome(self, trio_id: int, options: dict[str, Any], *, since: Baseline) -> CommandResult:
        """Return how a trio stands now, or at the end of ``--wait``."""
        if options["wait"] is None:
            trio = trio_get(trio_id)
            return CommandResult(trio_document(trio), trio_sentence(trio))
        narrate = None if options["json"] else self.narrate
        try:
            waited = wait_for(trio_id, within=options["wait"], since=since, narrate=narrate)
        except KeyboardInterrupt:  # waiting may be stopped at any time; the trio goes on
            self.stderr.write(f"No longer waiting; trio {trio_id} goes on.")
            waited = wait_for(trio_id, within=timedelta(0), since=since)
        return CommandResult(trio_document(waited.trio), trio_sentence(waited.trio), waited.exit_code)

    def narrate(self, event: TrioEvent) -> None:
        self.stderr.write(f"{event.at:%H:%M:%S.%f}"[:12] + f"  {event.text}")

    def refuse_on_a_copy(self) -> None:
        """Refuse a verb on a restored copy: nobody would carry it out. Raises TrioRefused."""
        if refusal := install_refusal():
            raise TrioRefused(f"{refusal} Nothing was requested.")

    def warn_if_nobody_acts(self) -> None:
        if not risk_gates.worker_alive():
            self.stderr.write(NOBODY_ACTS)


class VerbCommand(TrioCommand):
    """A verb on one trio that exists."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("trio", metavar="ID", type=trio_number, help="the trio's number")
        add_wait(parser)


class WishCommand(VerbCommand):
    """A verb whose wish is a row of its own, with an end."""

    ends_well: tuple[str, ...] = ("DONE",)

    @abstractmethod
    def wish(self, by: str, **options: Any) -> Wish:
        """Record the wish and return its row."""

    @abstractmethod
    def sentence_of(self, wish: Any) -> str:
        """Say how it ended."""

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        wish = self.wish(os_operator(), **options)
        self.warn_if_nobody_acts()
        result = self.outcome(options["trio"], options, since=since)
        wish.refresh_from_db()
        if options["wait"] is None or wish.end in ("", *self.ends_well):
            return result
        sentence = f"{self.sentence_of(wish)} {result.sentence}"
        return replace(result, sentence=sentence, exit_code=max(result.exit_code, OTHER_END))


class MoveCommand(WishCommand):
    """A verb that moves one of a trio's levels."""

    role: Role
    asks_level = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        if self.asks_level:
            parser.add_argument("level", metavar="PRICE", help="the new level, in the quote asset")

    def wish(self, by: str, **options: Any) -> LevelMove:
        level = number(options["level"], f"{self.role.words} price")
        assert level is not None  # the argument is required
        return trio_move(trio_id=options["trio"], role=self.role, level=level, by=by)

    def sentence_of(self, wish: LevelMove) -> str:
        return move_sentence(wish)


class SizeCommand(WishCommand):
    """A verb that changes the size of an open position."""

    def sentence_of(self, wish: SizeChange) -> str:
        return size_sentence(wish)


class ChangeCommand(WishCommand):
    """A verb that changes the entry of a trio while it rests."""

    ends_well = (ChangeEnd.DONE, ChangeEnd.CANCELLED)

    def sentence_of(self, wish: EntryChangeWish) -> str:
        return change_sentence(wish)


def add_wait(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        help="return when the trio has ended, asks a person, or rests as wanted; after this many seconds at the latest."
        " Exit codes then: 0 as wanted, 2 refused, 3 another end, 4 still under way, 5 a person is asked",
    )


def add_follow(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--follow",
        metavar="WHERE",
        help="where the stop-loss goes when a part target has executed: BREAK_EVEN (after the first), TARGETS (after the"
        " next ones to the target before), NONE",
    )


def follow_of(text: str | None) -> str | None:
    """Read where the stop is to follow the targets; ``None``: not said. Raises TrioRefused."""
    if text is None:
        return None
    found = word(
        text, [*(follow.value for follow in Follow if follow.value), "NONE"], "way to follow the targets"
    )
    return "" if found == "NONE" else found


def _seconds(text: str) -> timedelta:
    seconds = Decimal(text) if NUMBER.fullmatch(text) else Decimal(-1)
    if not 0 <= seconds <= WAIT_MAX:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"“{text}” is not a valid time to wait: write seconds, such as 30")
    return timedelta(microseconds=int(seconds * 1_000_000))


# --- reading what was typed -------------------------------------------------------------------


def number(text: str | None, what: str) -> Decimal | None:
    """Read a price or quantity. Raises TrioRefused with a sentence for anything else."""
    if text is None:
        return None
    text = text.strip()
    if not NUMBER.fullmatch(text):
        raise TrioRefused(
            f"“{text}” is not a valid {what}: write a plain number such as 0.01.{comma_hint(text)}"
        )
    value = Decimal(text)
    if value <= 0:
        raise TrioRefused(f"The {what} must be greater than zero, not {text}.")
    exponent = value.normalize().as_tuple().exponent
    if value >= Decimal(10) ** 22 or not isinstance(exponent, int) or exponent < -16:
        raise TrioRefused(
            f"The {what} {text} is out of range: at most 22 digits before and 16 after the point."
        )
    return value


def moment(text: str | None, what: str = "good-till time") -> datetime | None:
    """Read a time, with its zone; ``what`` it is. Raises TrioRefused."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise TrioRefused(
            f"“{text}” is not a valid time: write it with its time zone, such as 2030-01-31T12:00:00Z."
        )
    if problem := moment_problem(found, now=timezone.now()):
        raise TrioRefused(problem.says(f"The {what} {text}"))
    return found


def word(text: str | None, words: Sequence[str], what: str) -> str:
    """Read one of several words, in any case; nothing for None. Raises TrioRefused."""
    if text is None:
        return ""
    found = text.strip().upper()
    if found not in words:
        raise TrioRefused(f"“{text}” is not a valid {what}: choose one of {', '.join(words)}.")
    return found


def account_get(name: str) -> ExchangeAccount:
    """Return an account by its name. Raises TrioRefused and names those there are."""
    account = ExchangeAccount.objects.filter(name=name.strip()).first()
    if account is not None:
        return account
    names = ", ".join(f"“{n}”" for n in ExchangeAccount.objects.values_list("name", flat=True)[:10])
    known = f"There are {names}." if names else "There is none yet: enter one with “manage.py add_account”."
    raise TrioRefused(f"There is no account named “{name}”. {known}")


def trio_get(trio_id: int) -> TrioOrder:
    """Return a trio by its number. Raises TrioRefused."""
    trio = TrioOrder.objects.select_related("account", "symbol").filter(pk=trio_id).first()
    if trio is None:
        raise TrioRefused(f"There is no trio {trio_id}. The admin lists them all under “Trio orders”.")
    return trio


def place(trio: TrioOrder, *, by: str, reading: Reading) -> TrioOrder:
    """Queue a trio that passed its checks; a refusal leaves no row behind."""
    try:
        if not risk_gates.worker_alive():
            raise TrioRefused(risk_gates.NO_WORKER)
        trio.save()
    except UNANSWERED as error:  # a draft that was saved after all does nothing by itself
        raise TrioRefused(f"{database_silent(error)} Nothing was placed.") from None
    try:
        return trio_queue(trio_id=trio.pk, by=by, reading=reading)
    except UNANSWERED as error:
        raise TrioRefused(
            f"{database_silent(error)} Whether trio {trio.pk} was placed is not known: "
            f"“manage.py show_trio {trio.pk}” says so once the database answers."
        ) from None
    except BaseException:
        _forget(trio.pk)
        raise


def _forget(trio_id: int) -> None:
    try:
        with transaction.atomic():
            TrioOrder.objects.filter(pk=trio_id, state="DRAFT").delete()
    except UNANSWERED:
        return  # the refusal is reported all the same; a draft does nothing by itself
