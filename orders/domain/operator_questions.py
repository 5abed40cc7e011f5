"""Questions to a person as data: the kind, its facts, the safe answers; and the one place where each becomes a sentence.

Nothing decides by a sentence. Whether a question is answered or not, the position stays covered; no answer
removes a stop while the position is open. An answer is a decision and sticks: what was answered is not asked
again until a fact on which it rests has changed.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


class QuestionKind(enum.StrEnum):
    """What is asked about. The values are stored in tables and in the trio's story."""

    TARGET_REFUSED = "TARGET_REFUSED"
    EXIT_REFUSED = "EXIT_REFUSED"
    DUST = "DUST"
    KEY_REFUSED = "KEY_REFUSED"
    ACCOUNT_RESTRICTED = "ACCOUNT_RESTRICTED"
    ACCOUNT_UNREACHABLE = "ACCOUNT_UNREACHABLE"
    ADDRESS_CLOSED = "ADDRESS_CLOSED"
    POSITION_MODE_CHANGED = "POSITION_MODE_CHANGED"
    MULTI_ASSETS_ON = "MULTI_ASSETS_ON"
    MARGIN_TYPE_CHANGED = "MARGIN_TYPE_CHANGED"
    LEVERAGE_CHANGED = "LEVERAGE_CHANGED"
    SYMBOL_STOPPED = "SYMBOL_STOPPED"
    RULES_CHANGED = "RULES_CHANGED"
    ORDER_AMENDED = "ORDER_AMENDED"
    POSITION_ENLARGED = "POSITION_ENLARGED"
    POSITION_REDUCED = "POSITION_REDUCED"
    POSITION_REVERSED = "POSITION_REVERSED"
    ORDERS_IN_SLOT = "ORDERS_IN_SLOT"
    LEG_STUCK = "LEG_STUCK"
    FAILURE = "FAILURE"
    OTHER = "OTHER"  # asked by an earlier version in words that are not understood any more


class Choice(enum.StrEnum):
    LEAVE = "LEAVE"
    CLOSE = "CLOSE"
    CANCEL = "CANCEL"  # orders that are not ours
    ADOPT = "ADOPT"  # a position that is not ours

    @property
    def words(self) -> str:
        return {
            "LEAVE": "Leave it as it is",
            "CLOSE": "Close at market",
            "CANCEL": "Cancel those orders",
            "ADOPT": "Adopt the position",
        }[self.value]


@dataclass(frozen=True, slots=True)
class _Form:
    """How a kind of question reads, and what each safe answer does."""

    sentence: str  # with the names of its facts in braces
    answers: tuple[tuple[Choice, str], ...]
    rests_on: tuple[str, ...]  # the facts whose change makes it another question, to be asked again


_CLOSE_NOW: Final = (
    Choice.CLOSE,
    "the position is closed at market now, and the unfilled part is cancelled",
)
_AS_IT_IS: Final = "the trio goes on as it is"

# fmt: off
_FORMS: Final[Mapping[QuestionKind, _Form]] = {
    QuestionKind.TARGET_REFUSED: _Form(
        "The exchange refused the take-profit ({said}). The stop-loss stays and protects the position. "
        "Close the trio at market, or leave it to its stop-loss?", (
        (Choice.CLOSE, "the position is closed at market now, and its stop-loss is cancelled after that"),
        (Choice.LEAVE, "the trio goes on with its stop-loss alone; you are asked again only if that changes"),
    ), ("code", "generation", "quantity")),
    QuestionKind.EXIT_REFUSED: _Form(
        "The exchange keeps refusing to close the position at market ({said}). The position is still "
        "open; closing is retried, with pauses. Check the account in the exchange's app.", (
        (Choice.LEAVE, "closing is retried in any case; you are asked again only if the exchange's reason or the size changes"),
    ), ("code", "quantity")),
    QuestionKind.DUST: _Form(
        "{quantity} of the position is left, less than the smallest order the exchange takes, so it cannot be closed "
        "at market here. Its stop-loss, if it has one, stays. Close it in the exchange's app; this trio ends when it "
        "is gone.", (
        (Choice.LEAVE, "it cannot be closed here; close it in the exchange's app, and this trio ends"),
    ), ("quantity",)),
    QuestionKind.KEY_REFUSED: _Form(
        "The exchange refuses the account's API key ({said}). Its orders there stay, but "
        "nothing new can be sent for this position; a stop or exit is retried every five seconds. Correct the key on "
        "the exchange, or use “Replace credentials”.", (
        (Choice.LEAVE, "correct the key; a stop or exit is retried every five seconds meanwhile"),
        (Choice.CLOSE, "the position is closed at market as soon as the key is accepted again"),
    ), ("code",)),
    QuestionKind.ACCOUNT_RESTRICTED: _Form(
        "The exchange refused “{account}” ({said}). {meaning} Nothing new is opened on it; what rests there stays, and a "
        "stop or exit is sent all the same.", (
        (Choice.LEAVE, f"{_AS_IT_IS}; a stop or exit is retried every five seconds, should one be refused"),
        (Choice.CLOSE, "the position is closed at market now, or as soon as the exchange takes it"),
    ), ("code", "seen")),
    QuestionKind.ACCOUNT_UNREACHABLE: _Form(
        "The exchange cannot be asked about this trio: {text} Its orders on the exchange stay there.", (
        (Choice.LEAVE, f"{_AS_IT_IS}; you are asked again if the reason changes or comes back"),
        (Choice.CLOSE, "the position is closed at market as soon as the exchange can be asked again"),
    ), ("error",)),
    QuestionKind.ADDRESS_CLOSED: _Form(
        "{symbol} on “{account}”: a position of {quantity} has no stop-loss, and the exchange takes nothing from this "
        "server's address until {until} ({cause}). It is protected, or closed, the moment that time is over. If you "
        "cannot wait, act in the exchange's app, from another address.", (
        (Choice.LEAVE, "the position is protected, or closed, as soon as the exchange takes requests again"),
        (Choice.CLOSE, "the position is closed at market as soon as the exchange takes requests again"),
    ), ("quantity", "cause", "ends")),
    QuestionKind.POSITION_MODE_CHANGED: _Form(
        "The position mode was changed on the exchange: “{account}” is in {position_mode} now, and this trio was "
        "placed in {placed_in}. Nothing new is opened on the account until it is switched back or all its trios have "
        "ended; what rests on the exchange stays there. (Seen {seen}.)", (
        (Choice.LEAVE, f"{_AS_IT_IS}; switch the mode back in the exchange's app"),
        _CLOSE_NOW,
    ), ("position_mode", "placed_in", "seen")),
    QuestionKind.MULTI_ASSETS_ON: _Form(
        "Multi-assets mode was switched on for “{account}” on the exchange: all its assets are now margin for all its positions, "
        "so the liquidation price of this one is an estimate over the portfolio. It stays covered. (Seen {seen}.)", (
        (Choice.LEAVE, _AS_IT_IS),
        _CLOSE_NOW,
    ), ("seen",)),
    QuestionKind.MARGIN_TYPE_CHANGED: _Form(
        "The margin type was changed on the exchange: {symbol} on “{account}” is {margin_type} now, it was {was}. Its "
        "orders stay; its liquidation price may have moved. (Seen {seen}.)", (
        (Choice.LEAVE, f"{_AS_IT_IS}, with its stop where it was"),
        _CLOSE_NOW,
    ), ("symbol", "margin_type", "was", "seen")),
    QuestionKind.LEVERAGE_CHANGED: _Form(
        "The leverage was changed on the exchange: {symbol} on “{account}” has {leverage} now, it had {was}. Its orders "
        "stay; its margin and its liquidation price may have moved. (Seen {seen}.)", (
        (Choice.LEAVE, f"{_AS_IT_IS}, with its stop where it was"),
        _CLOSE_NOW,
    ), ("symbol", "leverage", "was", "seen")),
    QuestionKind.SYMBOL_STOPPED: _Form(
        "{symbol} is not trading now (status {status} since {since}). Nothing new is opened on it; its orders stay on "
        "the exchange, and nothing here cancels them.", (
        (Choice.LEAVE, "its orders stay on the exchange, and work again when the symbol trades again"),
        (Choice.CLOSE, "closing is retried; the exchange accepts it when the symbol trades again"),
    ), ("symbol", "status", "since")),
    QuestionKind.RULES_CHANGED: _Form(
        "{symbol} on “{account}”: {text} The entry still rests and nothing has filled. Cancel it, or leave it?", (
        (Choice.CLOSE, "the entry is cancelled; anything that fills meanwhile is closed at market"),
        (Choice.LEAVE, "the entry stays; if it fills and cannot be protected, it is closed at market at once"),
    ), ("symbol", "text")),
    QuestionKind.ORDER_AMENDED: _Form(
        "The {what} ({client_id}) of {symbol} on “{account}” was changed on the exchange, not here: {changes}. It is "
        "followed as it is there now. Is that what you want?", (
        (Choice.LEAVE, "the trio goes on with the order as it is on the exchange now"),
        (Choice.CLOSE, "the trio is closed: open orders are cancelled, what has filled is closed at market"),
    ), ("client_id", "changes")),
    QuestionKind.POSITION_ENLARGED: _Form(
        "{symbol} on “{account}”: the position is {position} and this trio's orders made {ours} of it; the difference came from "
        "outside. All of it is covered by the stop-loss, and all of it is closed with the trio.", (
        (Choice.LEAVE, "the trio goes on, covers the whole position and closes it with its own"),
        _CLOSE_NOW,
    ), ("position",)),
    QuestionKind.POSITION_REDUCED: _Form(
        "{symbol} on “{account}”: the position is {position}, and {ours} of what this trio's orders made is still open by our "
        "books; the rest was taken off outside. Stop, targets and exits are for what is left.", (
        (Choice.LEAVE, "the trio goes on with what is left"),
        _CLOSE_NOW,
    ), ("position",)),
    QuestionKind.POSITION_REVERSED: _Form(
        "{symbol} on “{account}”: the position was reversed outside this system. This trio is closed; the position of {position} the "
        "other way is not ours: nothing here covers it or closes it.{refused}", (
        (Choice.LEAVE, "it stays yours, and nothing here protects it"),
        (Choice.ADOPT, "it becomes a trio, its stop-loss and take-profit as far from its entry, in percent, as they were"),
    ), ("position",)),
    QuestionKind.ORDERS_IN_SLOT: _Form(
        "{symbol} on “{account}”: orders that are not ours rest beside this trio: {orders}. What they open is covered and closed "
        "with the trio; what they close, it loses.", (
        (Choice.LEAVE, "they stay; you are asked again only about others"),
        (Choice.CANCEL, "they are cancelled by their ids once our stop and target stand"),
        _CLOSE_NOW,
    ), ("ids",)),
    QuestionKind.LEG_STUCK: _Form(
        "The {what} {client_id} of {symbol} on “{account}” was triggered but has neither filled nor ended. It may still "
        "execute and hit whatever position there is then, so the slot stays taken. Look for the order in the exchange's app "
        "and cancel it there; this trio goes on, or ends, by itself when the exchange says what became of it.", (
        (Choice.LEAVE, "the order is looked up, with pauses; this trio goes on, or ends, when its fate is known"),
    ), ("client_id",)),
    QuestionKind.FAILURE: _Form(
        "Something in this system went wrong while deciding about this trio. Its cover stays on the exchange. "
        "Look at it there, and report the error in the log.", (
        (Choice.LEAVE, "deciding is retried with growing pauses; what rests on the exchange stays there"),
        (Choice.CLOSE, "the position is closed at market as soon as deciding succeeds"),
    ), ("error",)),
    QuestionKind.OTHER: _Form("{text}", (
        (Choice.LEAVE, "the trio goes on; if the reason is still there, it asks again"),
        _CLOSE_NOW,
    ), ("text",)),
}
# fmt: on
# Asked by who found out, once, and not by a rule that finds the reason again with every look: one that had to make
# way for another question is kept until its turn comes again.
ASKED_ONCE: Final = frozenset(
    {
        QuestionKind.POSITION_MODE_CHANGED,
        QuestionKind.MULTI_ASSETS_ON,
        QuestionKind.MARGIN_TYPE_CHANGED,
        QuestionKind.LEVERAGE_CHANGED,
        QuestionKind.POSITION_REVERSED,
        QuestionKind.SYMBOL_STOPPED,
        QuestionKind.ACCOUNT_RESTRICTED,
        QuestionKind.RULES_CHANGED,
        QuestionKind.ORDER_AMENDED,
        QuestionKind.OTHER,
    }
)
# Over, and their answers with them, once the exchange takes a request of ours.
OVER_WHEN_ACCEPTED: Final = frozenset(
    {QuestionKind.KEY_REFUSED, QuestionKind.ADDRESS_CLOSED, QuestionKind.ACCOUNT_UNREACHABLE}
)
SAME_END_MS: Final = 5000  # an end read twice, through two clocks, is the same within this


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "not known"


@dataclass(frozen=True, slots=True)
class Question:
    """What a trio asks a person: a kind, and the facts it is about (plain text and numbers, as JSON keeps them)."""

    kind: QuestionKind
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def sentence(self) -> str:
        return _FORMS[self.kind].sentence.format_map(_Facts({**self.facts, "said": self._said}))

    @property
    def _said(self) -> str:
        """Return what the exchange said: its words, and its code where it gave one."""
        text = str(self.facts.get("text") or "no reason given")
        code = self.facts.get("code")
        return f"{text}, code {code}" if code else text

    @property
    def answers(self) -> tuple[tuple[Choice, str], ...]:
        """Return the safe answers, each with what it does."""
        return _FORMS[self.kind].answers

    @property
    def choices(self) -> tuple[Choice, ...]:
        return tuple(choice for choice, _ in self.answers)

    def same_as(self, other: Question) -> bool:
        """Is an answer to one an answer to the other: the same kind, about the same facts?

        A fact that an earlier version did not keep is not compared.
        """
        if self.kind is not other.kind:
            return False
        kept = (name for name in _FORMS[self.kind].rests_on if name in self.facts and name in other.facts)
        return all(_same(name, self.facts[name], other.facts[name]) for name in kept)


def _same(name: str, one: Any, other: Any) -> bool:
    if name == "ends" and isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= SAME_END_MS
    return bool(one == other)


@dataclass(frozen=True, slots=True)
class Kept:
    """A question a trio does not ask at present but remembers: answered, or waiting for its turn.

    ``number`` is that of the line of the trio's story that asked it.
    """

    number: int
    question: Question
    answered: bool

    def as_json(self) -> dict[str, Any]:
        question = self.question
        return {
            "number": self.number,
            "kind": question.kind.value,
            "facts": dict(question.facts),
            "answered": self.answered,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Kept:
        return cls(row["number"], Question(QuestionKind(row["kind"]), row["facts"]), row["answered"])
