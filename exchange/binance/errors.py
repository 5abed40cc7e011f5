"""The table of Binance's codes and statuses: what each means, and which error it becomes.

=================================  ============================================================
answer                             error
=================================  ============================================================
418, 429                           ExchangeUnavailable, ``retry_after`` in seconds where given
408; 5xx; 503 not recognised       OutcomeUnknown
503 "Service Unavailable."         ExchangeUnavailable
any status with -1008, -1016       ExchangeUnavailable
another status than 200 below 400  OutcomeUnknown (a redirect was not followed)
4xx with a code                    by the code's kind, below; an unlisted code is a refusal
401 / 403 / 404, 405 / other 4xx   without a code: CredentialsRefused / ExchangeUnavailable /
                                   OrderRejected / OutcomeUnknown
200 with a foreign body            OutcomeUnknown
=================================  ============================================================

Kinds of codes: R (may have executed) → OutcomeUnknown · B (did not execute, wait) and T (our clock:
-1021, -5028) → ExchangeUnavailable · A → CredentialsRefused · X, P and N (already so) → OrderRejected.

Apart from their kind: -2011 (a cancel: gone, triggered or unknown; read the order) and the refusals
of a leg the caller answers by name (-2022, -4118, -4129, -4130, -4509) are definite about *this*
request, so they are OrderRejected. -4116 stays OutcomeUnknown: an earlier try under this id is on the book.
-1125 is OrderRejected: that listen key is gone, ask for a new one. ``code`` is always set.

A read changes nothing, so what would be OutcomeUnknown is ExchangeUnavailable there.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import Final

from exchange.binance.answer import Answer
from exchange.errors import (
    CredentialsRefused,
    ExchangeError,
    ExchangeUnavailable,
    OrderRejected,
    OutcomeUnknown,
)
from exchange.redaction import excerpt
from exchange.refusals import SENTENCES, Refusal
from exchange.refusals import Refusal as R


class Kind(enum.Enum):
    """What the caller does next, in the letters of docs/reference/exchange-codes.md."""

    RECONCILE = "R"
    BACK_OFF = "B"
    CLOCK = "T"
    ALREADY = "N"
    REFUSED = "X"
    MALFORMED = "P"
    ACCOUNT = "A"


def _span(highest: int, lowest: int) -> tuple[int, ...]:
    return tuple(range(highest, lowest - 1, -1))


# fmt: off
_TABLE: Final[tuple[tuple[Refusal, Kind, tuple[int, ...]], ...]] = (
    (R.LEVEL_PASSED,       Kind.REFUSED,   (-2021, -4135, -4142)),
    (R.NOT_WHILE_FLAT,     Kind.RECONCILE, (-2022, -4118, -4129, -4509)),
    (R.CLOSE_EXISTS,       Kind.RECONCILE, (-4130,)),
    (R.DUPLICATE_ID,       Kind.RECONCILE, (-4116,)),
    (R.TOO_SMALL,          Kind.MALFORMED, (-4003, -4004)),
    (R.TOO_SMALL,          Kind.REFUSED,   (-4164,)),
    (R.TOO_LARGE,          Kind.MALFORMED, (-4005,)),
    (R.BAD_STEP,           Kind.MALFORMED, (-1111, -4014, -4023)),
    (R.PRICE_OUT_OF_RANGE, Kind.MALFORMED, (-4001, -4002, -4006, -4007, -4013, -4016, -4024)),
    (R.PRICE_OUT_OF_RANGE, Kind.REFUSED,   (-4183, -4184, -4210, -4211)),
    (R.THIN_BOOK,          Kind.REFUSED,   (-4131,)),
    (R.NO_DEPTH,           Kind.REFUSED,   (-1112, -2020, -5041)),
    (R.NOT_FILLED_AT_ONCE, Kind.REFUSED,   (-5021,)),
    (R.WOULD_TAKE,         Kind.REFUSED,   (-5022,)),
    (R.TOO_MANY_OPEN,      Kind.REFUSED,   (-2025, -4045)),
    (R.AMEND_REFUSED,      Kind.REFUSED,   (*_span(-5024, -5026), -5029, -5043, -5047)),
    (R.ORDER_REFUSED,      Kind.REFUSED,   (-2010,)),
    (R.SYMBOL_CLOSED,      Kind.REFUSED,   (-1122, -4140, -4141)),
    (R.NOT_CANCELLABLE,    Kind.RECONCILE, (-2011, -2012)),
    (R.TRIGGERING,         Kind.RECONCILE, (-4117,)),
    (R.NO_SUCH_ORDER,      Kind.RECONCILE, (-2013,)),
    (R.MARGIN,             Kind.REFUSED,   (-2018, -2019, -4050, -4051)),
    (R.POSITION_LIMIT,     Kind.REFUSED,   (-2027, -2028)),
    (R.POSITION_TOO_SMALL, Kind.RECONCILE, (-2024,)),
    (R.KEY,                Kind.ACCOUNT,   (-1002, -1099, -1109, -2008, -2014, -2015, -2017, -4056, -4057)),
    (R.SIGNATURE,          Kind.ACCOUNT,   (-1022,)),
    (R.ADDRESS,            Kind.ACCOUNT,   (-1004, -1005, -1011)),
    (R.REDUCE_ONLY,        Kind.ACCOUNT,   (-4087, -4400, -4401)),
    (R.ACCOUNT_RESTRICTED, Kind.ACCOUNT,   (-2023, -4088, -4109, -4192, -4402)),
    (R.POSITION_MODE,      Kind.ACCOUNT,   (-4061,)),
    (R.RATE_ORDERS,        Kind.BACK_OFF,  (-1015,)),
    (R.RATE_WEIGHT,        Kind.BACK_OFF,  (-1003,)),
    (R.OVERLOADED,         Kind.BACK_OFF,  (-1008, -1016)),
    (R.CLOCK,              Kind.CLOCK,     (-1021, -5028)),
    (R.ALREADY_SO,         Kind.ALREADY,   (-4046, -4052, -4059, -4171, -5027)),
    (R.SETTING_REFUSED,    Kind.REFUSED,   (-4028, -4047, -4048, -4067, -4068, -4161, *_span(-4167, -4170), -4172,
                                            -4202, -4203, -4205, -4206, -4208, -4209, -4403, -4531)),
    (R.LISTEN_KEY_GONE,    Kind.BACK_OFF,  (-1125,)),
    (R.OUTCOME_OPEN,       Kind.RECONCILE, (-1000, -1001, -1006, -1007, -4000, -4083)),
    (R.MALFORMED,          Kind.MALFORMED, (-1010, -1013, -1014, -1020, -1023, *_span(-1100, -1106), -1108, -1110,
                                            *_span(-1114, -1117), -1120, -1121, -1127, -1128, -1130, -1136, -2026,
                                            *_span(-4008, -4012), -4015, -4020, -4031, -4032, -4060, -4062, -4082,
                                            -4120, -4136, -4137, -4138, -4139, -4144, -4165, *_span(-5037, -5040))),
)
# fmt: on
KINDS: Final[Mapping[int, Kind]] = {code: kind for _, kind, codes in _TABLE for code in codes}
_REFUSALS: Final[Mapping[int, Refusal]] = {code: refusal for refusal, _, codes in _TABLE for code in codes}

_ERRORS: Final[Mapping[Kind, type[ExchangeError]]] = {
    Kind.RECONCILE: OutcomeUnknown,
    Kind.BACK_OFF: ExchangeUnavailable,
    Kind.CLOCK: ExchangeUnavailable,
    Kind.ALREADY: OrderRejected,
    Kind.REFUSED: OrderRejected,
    Kind.MALFORMED: OrderRejected,
    Kind.ACCOUNT: CredentialsRefused,
}
DEFINITE_REFUSALS: Final = frozenset({-1125, -2011, -2022, -4118, -4129, -4130, -4509})
_UNEXECUTED_AT_ANY_STATUS: Final = frozenset({-1008, -1016})


def classify(status: int, code: int, text: str = "") -> type[ExchangeError]:
    """Name the error for a status, a code (0: none) and the exchange's words. The one table."""
    if status in (418, 429) or code in _UNEXECUTED_AT_ANY_STATUS:
        return ExchangeUnavailable
    if status == 503 and _says_unavailable(text):
        return ExchangeUnavailable
    if status == 408 or status >= 500 or status < 400:
        return OutcomeUnknown
    if code in DEFINITE_REFUSALS:
        return OrderRejected
    if code:
        return _ERRORS[KINDS.get(code, Kind.REFUSED)]
    if status == 401:
        return CredentialsRefused
    if status == 403:
        return ExchangeUnavailable
    return OrderRejected if status in (404, 405) else OutcomeUnknown


def refusal_of(code: int, *, status: int = 400) -> Refusal:
    """Return what a code means; with status 418 or 429 it is a limit, whatever the code."""
    if status == 418:
        return Refusal.BANNED
    if status == 429 and code not in _REFUSALS:
        return Refusal.RATE_WEIGHT
    return _REFUSALS.get(code, Refusal.NOT_UNDERSTOOD)


def _says_unavailable(text: str) -> bool:
    return text.strip().rstrip(".").lower() == "service unavailable"


def error_from(
    answer: Answer, *, reading: bool, secrets: Iterable[str] = (), wait_ms: int = 0
) -> ExchangeError:
    """Make the error for an answer (anything but a usable 200)."""
    code, words = code_and_words(answer.text)
    found = classify(answer.status, code, words)
    if reading and found is OutcomeUnknown:
        found = ExchangeUnavailable
    shown = excerpt(words, secrets)[:200].strip() or f"HTTP status {answer.status} without a reason"
    return found(
        _sentence(found, shown, code=code, status=answer.status, reading=reading),
        refusal=refusal_of(code, status=answer.status) if code or answer.status in (418, 429) else None,
        words=shown,
        code=code,
        status=answer.status,
        excerpt=excerpt(answer.text, secrets),
        retry_after=answer.retry_after,
        wait_ms=wait_ms,
    )


def foreign_answer(answer: Answer, why: str, *, reading: bool, secrets: Iterable[str] = ()) -> ExchangeError:
    """Make the error for a 200 whose body is not what this request is answered with."""
    found = ExchangeUnavailable if reading else OutcomeUnknown
    code, _ = code_and_words(answer.text)
    advice = "Try again later." if reading else "Look it up by its id before doing anything else."
    return found(
        f"The exchange's answer cannot be understood ({excerpt(why, secrets)[:160]}). {advice}",
        code=code,
        status=answer.status,
        excerpt=excerpt(answer.text, secrets),
    )


def no_answer(*, host: str, sent: bool, overdue: bool, timeout_ms: int, reading: bool) -> ExchangeError:
    """Make the error for a request that got no (whole) answer."""
    if not sent:
        return ExchangeUnavailable(
            f"The exchange at {host} cannot be reached; nothing was sent. "
            "Check the address and the network, then try again."
        )
    what = f"no whole answer within {timeout_ms} ms" if overdue else "the connection ended before the answer"
    if reading:
        return ExchangeUnavailable(f"The exchange at {host} did not answer: {what}. Try again later.")
    return OutcomeUnknown(
        f"The exchange at {host} did not answer ({what}): whether it acted is unknown. "
        "Look it up by its id before doing anything else."
    )


def code_and_words(text: str) -> tuple[int, str]:
    """Read ``{"code", "msg"}`` from a body; (0, short plain text) where it is something else."""
    try:
        body = json.loads(text)
    except ValueError:
        plain = text.strip()
        return 0, plain if len(plain) <= 200 and not plain.startswith(("<", "{", "[")) else ""
    if not isinstance(body, dict):
        return 0, ""
    code = body.get("code")
    if isinstance(code, str) and code.removeprefix("-").isdigit() and code.isascii():
        code = int(code)
    number = code if isinstance(code, int) and not isinstance(code, bool) else 0
    words = body.get("msg")
    # Only negative codes are errors: 200 means success in some answers.
    return min(number, 0), words if isinstance(words, str) else ""


def _sentence(kind: type[ExchangeError], words: str, *, code: int, status: int, reading: bool) -> str:
    said = f"{words.rstrip('.')} ({f'code {code}' if code else f'status {status}'})"
    if kind is OutcomeUnknown:
        return f"The outcome of the request is unknown: {said}. Look it up before doing anything else."
    if kind is CredentialsRefused:
        meaning = refusal_of(code) if code else R.KEY
        return f"The exchange refuses this account: {said}. {SENTENCES[meaning]}"
    if refusal_of(code) is Refusal.CLOCK:
        return f"The exchange refused our clock: {said}. Measure the clock offset anew, then decide again."
    if kind is ExchangeUnavailable:
        verb = "answer" if reading else "take the request"
        return f"The exchange did not {verb}: {said}. Wait, then try again."
    if code and refusal_of(code) is R.NOT_UNDERSTOOD:
        return f"The exchange refused: {said}. {SENTENCES[R.NOT_UNDERSTOOD]}"
    return f"The exchange refused: {said}."
