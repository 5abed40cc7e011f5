"""What a post becomes: authenticated by its source's secret, counted against its rate, recorded once, answered.

The whole of it is one short transaction. Whoever sends the same post meanwhile waits a moment for it, then is told that
it is under way; afterwards a repeat gets the first answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from psycopg2 import errors
from redis.exceptions import RedisError

from accounts.models import ExchangeAccount
from infrastructure import job_queue, valkey
from infrastructure.rows import row_insert, row_insert_once, row_update
from orders.exchange_data.clock import db_now
from orders.models import Symbol
from signals.domain import payload as payloads
from signals.domain.enums import TIME, Origin
from signals.domain.posts import Post, read_post
from signals.domain.refusals import Facts, RefusalKind, SignalRefused, sentence
from signals.models import HookPost, HookSecret, HookSource
from signals.services import signal_record

BODY_MAX: Final = 16 * 1024
SECRET_BYTES: Final = 32
ACT_WITHIN: Final = timedelta(seconds=60)
MINUTE: Final = timedelta(minutes=1)
WAIT_MS: Final = 500  # for the same post that is under way
STRANGERS: Final = "signals:posts-without-secret"
# As TradingView publishes them for its alerts.
TRADINGVIEW: Final = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
STATUS: Final[Mapping[RefusalKind, int]] = {
    RefusalKind.MALFORMED: 400,
    RefusalKind.SOURCE_OFF: 403,
    RefusalKind.SYMBOL_NOT_ALLOWED: 403,
    RefusalKind.NO_ACCOUNTS: 403,
}
REFUSED: Final = 422
ACCEPTED: Final = 202
EXECUTE: Final = "worker.jobs.execute_signal"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a post is answered. ``is_repeat``: it is the first one's answer."""

    status: int
    document: Mapping[str, Any]
    is_repeat: bool = False


UNKNOWN: Final = Answer(404, {"error": "There is no such source, or this is not its secret."})
UNDER_WAY: Final = Answer(409, {"error": "The same post is under way: try again in a moment."})
TOO_MANY: Final = Answer(
    429, {"error": "This source has sent as many posts as it may in a minute. Nothing was placed."}
)


@dataclass(slots=True)
class Arrival:
    """A post on its way in."""

    name: str
    body: bytes = field(repr=False)
    address: str
    secret: str = field(default="", repr=False)  # as a header says
    key: str = ""  # of idempotency, as a header says
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    refused: SignalRefused | None = None


def secret_add(source: HookSource, *, label: str = "") -> str:
    """Make a secret for a source and return it: this is the only time it can be seen."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    HookSecret.objects.create(source=source, digest=digest_of(secret), label=label)
    return secret


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def post_receive(arrival: Arrival) -> Answer:
    """Take a post in. Returns what it is answered, never raises for what somebody has sent."""
    try:
        arrival.payload = payloads.read(arrival.body)
    except SignalRefused as refused:
        arrival.refused = refused
    source = HookSource.objects.filter(name=arrival.name).first()
    known = _known_secret(source, arrival)
    if source is None or not known or not _address_allowed(source, arrival.address):
        _count_stranger(arrival.name if source is not None else "")
        return UNKNOWN
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = %s; SELECT clock_timestamp()", [f"{WAIT_MS}ms"])
                (now,) = cursor.fetchone()
            return _received(source, arrival, known, now)
    except OperationalError as error:
        if isinstance(error.__cause__, errors.LockNotAvailable):
            return UNDER_WAY
        raise


def post_try(source: HookSource, body: bytes) -> Answer:
    """Say what a post would become, without recording or placing anything."""
    try:
        post, accounts = _meant(source, payloads.read(body), db_now())
    except SignalRefused as refused:
        return _refusal_answer(refused)
    return Answer(ACCEPTED, _described(post, accounts))


def strangers_counted() -> dict[str, int]:
    """Return how many posts came without the secret, by source; nothing while Valkey is silent."""
    try:
        found: Any = valkey.client().hgetall(STRANGERS)
    except RedisError:
        return {}
    return {name.decode(): int(count) for name, count in found.items()}


# --- who ------------------------------------------------------------------------------------------


def _known_secret(source: HookSource | None, arrival: Arrival) -> str:
    """Return the secret if it is one of the source's. A source that is not there takes as long as one that is."""
    said = arrival.secret
    if not said:
        path = "secret" if source is None else source.mapping.get("secret", "secret")
        in_body = payloads.look_up(arrival.payload, path)
        said = in_body if isinstance(in_body, str) else ""
    digest = digest_of(said)
    known = list(HookSecret.objects.filter(source__name=arrival.name).values_list("digest", flat=True))
    matches = [hmac.compare_digest(digest, one) for one in known or [digest_of("")]]
    return said if said and known and any(matches) else ""


def _address_allowed(source: HookSource, address: str) -> bool:
    allowed = [text for text in re.split(r"[\s,]+", source.addresses) if text]
    allowed += TRADINGVIEW if source.from_tradingview else ()
    if not allowed:
        return True
    try:
        asked = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(asked in ipaddress.ip_network(text, strict=False) for text in allowed)


def _count_stranger(name: str) -> None:
    with contextlib.suppress(RedisError):  # a count is not worth an answer
        valkey.client().hincrby(STRANGERS, name, 1)


# --- in one transaction ---------------------------------------------------------------------------


def _received(source: HookSource, arrival: Arrival, secret: str, now: datetime) -> Answer:
    arrival.payload = payloads.without(arrival.payload, secret)  # before anything is made of it
    key, is_hash = _key_of(source, arrival)
    row = HookPost(
        source=source,
        key=key,
        at=now,
        address=arrival.address[:45],
        payload=payloads.storable(arrival.payload),
        status=0,
    )
    first = _inserted(row, source, is_hash=is_hash, now=now)
    if first is not None:
        return Answer(first.status, first.answer, is_repeat=True)
    if source.posts.filter(at__gt=now - MINUTE).count() > source.posts_minute:
        transaction.set_rollback(True)
        return TOO_MANY
    try:
        if arrival.refused is not None:
            raise arrival.refused
        post, accounts = _meant(source, arrival.payload, now)
    except SignalRefused as refused:
        answer = _refusal_answer(refused)
        row.refusal, row.facts = refused.kind.value, dict(refused.facts)
    else:
        answer = _recorded(source, row, post, accounts, now)
    row.status, row.answer = answer.status, dict(answer.document)
    row_update(row, "status", "answer", "refusal", "facts", "signal")
    return answer


def _inserted(row: HookPost, source: HookSource, *, is_hash: bool, now: datetime) -> HookPost | None:
    """Insert a post's row; where the same post was there before, return that one."""
    if row_insert_once(row):
        return None
    first = HookPost.objects.select_for_update().get(source=source, key=row.key)
    if not is_hash or now - first.at <= timedelta(seconds=source.repeat_seconds):
        return first
    first.key = f"{first.key}/{first.pk}"  # the same words, long after: another post
    first.save(update_fields=["key"])
    row_insert(row)
    return None


def _key_of(source: HookSource, arrival: Arrival) -> tuple[str, bool]:
    """Return what identifies a post, and whether it is but a hash of what it says."""
    said = arrival.key
    if not said:
        in_body = payloads.look_up(arrival.payload, source.mapping.get("id", "id"))
        said = str(in_body) if isinstance(in_body, (str, int)) or hasattr(in_body, "as_tuple") else ""
    if said:
        return "id:" + hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest(), False
    body = arrival.body
    if arrival.refused is None:  # whatever the order of its keys, and whichever of its secrets was used
        body = json.dumps(arrival.payload, sort_keys=True, default=str).encode()
    return "body:" + hashlib.sha256(body).hexdigest(), True


def _meant(
    source: HookSource, payload: Mapping[str, Any], now: datetime
) -> tuple[Post, list[ExchangeAccount]]:
    """Return what a post means and for whom. Raises SignalRefused."""
    if not source.is_active:
        raise SignalRefused(RefusalKind.SOURCE_OFF)
    post = read_post(payload, source.mapping, source.defaults)
    if post.time is None and source.time_required:
        raise SignalRefused(RefusalKind.TIME_MISSING)
    if post.time is not None and (away := abs((now - post.time).total_seconds())) > source.window_seconds:
        raise SignalRefused(
            RefusalKind.STALE,
            time=f"{post.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", seconds=str(ceil(away)),
            window=str(source.window_seconds),
        )  # fmt: skip
    if post.symbol not in {name for name in re.split(r"[\s,]+", source.symbols.upper()) if name}:
        raise SignalRefused(RefusalKind.SYMBOL_NOT_ALLOWED, symbol=post.symbol)
    accounts = list(source.accounts.order_by("pk"))
    if not accounts:
        raise SignalRefused(RefusalKind.NO_ACCOUNTS)
    environments = sorted({account.environment for account in accounts})
    known = Symbol.objects.filter(environment__in=environments, symbol=post.symbol)
    if missing := set(environments) - set(known.values_list("environment", flat=True)):
        raise SignalRefused(
            RefusalKind.SYMBOL_UNKNOWN, symbol=post.symbol, environment=", ".join(sorted(missing))
        )
    return post, accounts


def _recorded(
    source: HookSource, row: HookPost, post: Post, accounts: list[ExchangeAccount], now: datetime
) -> Answer:
    """Record the signal and ring for it."""
    row.signal, _ = signal_record(
        origin=Origin.WEBHOOK,
        source=source.name,
        key=f"post {row.pk}",
        symbol=post.symbol,
        verb=post.verb,
        side=post.side,
        terms=post.terms,
        accounts=accounts,
        act_before=now + ACT_WITHIN,
        reason=post.reason,
        figures=_figures(post),
        dry_run=source.dry_run,
    )
    job_queue.ring(EXECUTE, row.signal.pk)
    return Answer(ACCEPTED, {"signal": row.signal.pk} | _described(post, accounts))


def _figures(post: Post) -> dict[str, str]:
    found = {} if post.atr is None else {"atr": format(post.atr, "f")}
    if post.time is not None:
        found[TIME] = post.time.astimezone(UTC).isoformat(timespec="milliseconds")
    return found


def _described(post: Post, accounts: list[ExchangeAccount]) -> dict[str, Any]:
    return {
        "symbol": post.symbol,
        "verb": post.verb.value,
        "side": post.side.value if post.side else None,
        "terms": post.terms.as_json(),
        "accounts": [account.name for account in accounts],
    }


def _refusal_answer(refused: SignalRefused) -> Answer:
    facts: Facts = refused.facts
    return Answer(
        STATUS.get(refused.kind, REFUSED),
        {"error": sentence(refused.kind, facts), "kind": refused.kind.value},
    )
