"""Authentication: the API key, the HMAC-SHA256 signature over query and body exactly as sent, the time window."""

from __future__ import annotations

import hashlib
import hmac

from simulator.engine.account_book import AccountBook
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.protocol.params import Params

RECV_WINDOW_DEFAULT = 5_000
RECV_WINDOW_MAX = 60_000
AHEAD_MAX_MS = 1_000


def find_book(ex: Exchange, api_key: str) -> AccountBook:
    """The book of the account with this API key. Raises ApiError -2014, -2015."""
    if not api_key:
        raise refusal(-2014)
    book = ex.by_key.get(api_key)
    if book is None:
        raise refusal(-2014 if not api_key.isalnum() or len(api_key) < 4 else -2015)
    return book


def _without_signature(text: str) -> tuple[str, bool]:
    if text.startswith("signature="):
        return ("", "&" not in text)
    head, found, tail = text.rpartition("&signature=")
    return (head, "&" not in tail) if found else (text, False)


def check_signature(secret: str, query: str, body: str, params: Params) -> None:
    """Check the signature, which comes last and is not signed itself. Raises ApiError -1102, -1022."""
    given = params.need("signature")
    rest, last = _without_signature(body)
    if last:
        payload = query + rest
    else:
        rest, last = _without_signature(query)
        payload = rest + body
    expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not last or not hmac.compare_digest(expected.encode(), given.lower().encode()):
        raise refusal(-1022)


def check_time(params: Params, now: int) -> int:
    """Check that the timestamp lies within its window; return the last ms at which the request may execute.

    Raises ApiError -1102, -1131, -1021.
    """
    if "timestamp" not in params.values:
        raise refusal(-1102, name="timestamp")
    stamp = params.need_integer("timestamp")
    window = params.integer("recvWindow")
    if window is None:
        window = RECV_WINDOW_DEFAULT
    if window > RECV_WINDOW_MAX:
        raise refusal(-1131)
    if stamp >= now + AHEAD_MAX_MS:
        error = refusal(-1021)
        error.msg = "Timestamp for this request was 1000ms ahead of the server's time."
        raise error
    if now - stamp > window:
        raise refusal(-1021)
    return stamp + window
