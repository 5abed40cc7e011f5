"""What people are told about: each kind with its severity, whether it is told at once, and its sentence. Pure.

Whatever is decided, is decided by kind and facts; sentences are made here and read by people alone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orders.domain.limits import Breach, LimitRule
from orders.domain.operator_questions import Question, QuestionKind
from signals.domain.faults import Fault
from signals.domain.faults import sentence as say_fault

Facts = Mapping[str, Any]


class Severity(enum.StrEnum):
    """Whether it matters at any hour: then it passes quiet hours, asks for an acknowledgement, and escalates."""

    URGENT = "URGENT"
    NORMAL = "NORMAL"


class Mode(enum.StrEnum):
    """How a person wants to be told about a kind."""

    AT_ONCE = "AT_ONCE"
    DIGEST = "DIGEST"
    OFF = "OFF"

    @property
    def words(self) -> str:
        return {"AT_ONCE": "at once", "DIGEST": "in the digest", "OFF": "not at all"}[self.value]


class Kind(enum.StrEnum):
    """What people are told about. The values are stored."""

    TRIO_ASKS = "TRIO_ASKS"
    UNCOVERED = "UNCOVERED"
    MARGIN_CALL = "MARGIN_CALL"
    TRIO_FORCED = "TRIO_FORCED"
    ACCOUNT_UNWATCHED = "ACCOUNT_UNWATCHED"
    ACCOUNT_RESTRICTED = "ACCOUNT_RESTRICTED"
    ADDRESS_CLOSED = "ADDRESS_CLOSED"
    STRATEGY_DISABLED = "STRATEGY_DISABLED"
    LIMIT_BREACHED = "LIMIT_BREACHED"
    PRICE_ALERT = "PRICE_ALERT"
    TRIO_CLOSED = "TRIO_CLOSED"
    TRIO_FAILED = "TRIO_FAILED"
    SIGNAL_MISSED = "SIGNAL_MISSED"


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind reads, how much it matters, and how it is told unless a person says otherwise."""

    title: str
    severity: Severity
    mode: Mode
    says: Callable[[Facts], str]


def _asks(f: Facts) -> str:
    question = Question(QuestionKind(f["question"]), f.get("question_facts") or {})
    return f"{_trio(f)} asks: {question.sentence}"


def _trio(f: Facts) -> str:
    return f"Trio {f['trio']} ({f['side']} {f['symbol']} on “{f['account']}”)"


def _closed(f: Facts) -> str:
    net = ", ".join(f"{amount} {asset}" for amount, asset in f.get("net", ()))
    return f"{_trio(f)} was closed by {f['result'] or 'its end'}: net {net or '0'}."


def _failed(f: Facts) -> str:
    return f"{_trio(f)} ended {f['state']}. {f['reason']}".strip()


def _limit(f: Facts) -> str:
    return Breach(LimitRule(f["rule"]), f["value"], f["limit"], f["account"], f["source"]).sentence


def _alert(f: Facts) -> str:
    price = "mark price" if f["price_kind"] == "MARK" else "last price"
    where = "at or above" if f["side"] == "ABOVE" else "at or below"
    note = f" {f['note']}" if f.get("note") else ""
    return f"{f['symbol']} ({f['environment']}): the {price} is {f['price']}, {where} {f['level']}.{note}"


# fmt: off
FORMS: Final[Mapping[Kind, Form]] = {
    Kind.TRIO_ASKS: Form("A trio needs an answer", Severity.URGENT, Mode.AT_ONCE, _asks),
    Kind.UNCOVERED: Form("A position is not protected", Severity.URGENT, Mode.AT_ONCE, lambda f: (
        f"{_trio(f)}: its position has had no acknowledged stop since {f['since']} UTC. A worker is at it."
    )),
    Kind.MARGIN_CALL: Form("A position is near liquidation", Severity.URGENT, Mode.AT_ONCE, lambda f: (
        f"{_trio(f)}: the exchange warns that its position is near liquidation (mark price {f['mark'] or 'not said'}). Add margin, "
        "or close a part."
    )),
    Kind.TRIO_FORCED: Form("A position was closed unexpectedly", Severity.URGENT, Mode.AT_ONCE, _closed),
    Kind.ACCOUNT_UNWATCHED: Form("An account cannot be watched", Severity.URGENT, Mode.AT_ONCE, lambda f: (
        f"“{f['account']}” cannot be watched since {f['since']} UTC: {f['text'] or 'no reason is known'}"
    )),
    Kind.ACCOUNT_RESTRICTED: Form("The exchange restricts an account", Severity.URGENT, Mode.AT_ONCE, lambda f: (
        f"The exchange refused “{f['account']}” ({f['text']}, code {f['code']}). Nothing new is opened on it until “Test "
        "connection” finds it in order; what protects goes on."
    )),
    Kind.ADDRESS_CLOSED: Form("The exchange bars this server", Severity.URGENT, Mode.AT_ONCE, lambda f: (
        f"{f['environment']}: the exchange takes nothing from the address “{f['egress']}” until {f['until']} UTC "
        f"({f['cause']}). What has no stop asks on its page."
    )),
    Kind.STRATEGY_DISABLED: Form("A strategy was disabled", Severity.URGENT, Mode.AT_ONCE, lambda f: (
        f"Strategy {f['strategy']} was disabled: {say_fault(Fault(f['fault']), f['detail'])} Its trios stay open and "
        "protected."
    )),
    Kind.LIMIT_BREACHED: Form("A limit refused new risk", Severity.NORMAL, Mode.AT_ONCE, _limit),
    Kind.PRICE_ALERT: Form("A price was reached", Severity.NORMAL, Mode.AT_ONCE, _alert),
    Kind.TRIO_CLOSED: Form("A trio was closed", Severity.NORMAL, Mode.AT_ONCE, _closed),
    Kind.TRIO_FAILED: Form("A trio was not placed, or was rolled back", Severity.NORMAL, Mode.AT_ONCE, _failed),
    Kind.SIGNAL_MISSED: Form("A signal came too late", Severity.NORMAL, Mode.DIGEST, lambda f: (
        f"{f['source']} wanted {f['verb']} {f['side']} {f['symbol']} on “{f['account']}” and was looked at too late: nothing was "
        "placed."
    )),
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that happened. ``key``: by which it is known again, so that nobody is told twice."""

    kind: Kind
    key: str
    facts: Facts


def sentence(kind: Kind, facts: Facts) -> str:
    """Return what a notice says to people."""
    return FORMS[kind].says(facts)
