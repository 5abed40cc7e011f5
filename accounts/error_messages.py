"""Errors of the exchange as sentences for the operator. One place, used by forms and commands alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from accounts.endpoints import stream_endpoints
from accounts.errors import (
    AccountsError,
    AccountUnsuitable,
    ClockOff,
    ExchangeUnreachable,
    KeyRefused,
    SettingsRefused,
)
from accounts.models import Environment
from exchange.errors import CredentialsRefused, ExchangeError, ExchangeUnavailable, OutcomeUnknown
from exchange.refusals import RESTRICTIONS, SENTENCES, Refusal

NOT_AN_EXCHANGE = (200, 404, 405)  # something answered, but not in the exchange's format


@contextmanager
def exchange_errors_translated(environment: str) -> Iterator[None]:
    """Raise the exchange's errors as ours."""
    try:
        yield
    except ExchangeError as error:
        raise plain(environment, error) from None


def plain(environment: str, error: ExchangeError) -> AccountsError:
    """Say in one sentence what an exchange error means for an account and what to do about it."""
    label = Environment(environment).label
    if error.refusal is Refusal.SIGNATURE:
        return KeyRefused(
            f"The exchange refused the signature ({error.code}): the API secret does not belong to this API key."
            " Enter the secret again.",
            field="new_secret",
        )
    if error.refusal is Refusal.CLOCK:
        return ClockOff(
            f"The exchange refused our timestamp ({error.code}): this machine's clock and the exchange's differ."
            " Set the clock (chrony, systemd-timesyncd) and try again."
        )
    if error.refusal is Refusal.KEY or (isinstance(error, CredentialsRefused) and not error.code):
        return KeyRefused(
            f"The exchange refused the API key ({_code(error)}): it does not exist on {label}, this IP address"
            f" is not on its whitelist, or it lacks the futures permission. Check that the key was made for {label}.",
            field="api_key",
        )
    if not error.code and error.status in NOT_AN_EXCHANGE:
        return ExchangeUnreachable(
            f"The server at {stream_endpoints(environment).rest} does not answer like the exchange"
            f" (HTTP {error.status}): check BINANCE_{environment}_REST_URL."
        )
    if isinstance(error, ExchangeUnavailable | OutcomeUnknown):
        return unreachable(environment, error)
    if not error.words:
        return SettingsRefused(error.message)  # a sentence of ours already
    if error.refusal in RESTRICTIONS:
        return AccountUnsuitable(
            f"The exchange refused this account: {error.said}. {SENTENCES[error.refusal]}"
        )
    advice = f" {SENTENCES[error.refusal]}" if error.refusal is Refusal.NOT_UNDERSTOOD else ""
    return SettingsRefused(f"The exchange refused: {error.said}.{advice}")


def unreachable(environment: str, error: ExchangeError | None = None) -> ExchangeUnreachable:
    """Name the address that does not answer, and for PAPER how to start our simulator."""
    url = stream_endpoints(environment).rest
    said = f" ({_code(error)})" if error is not None and (error.code or error.status) else ""
    if error is not None and error.retry_after:
        return ExchangeUnreachable(
            f"The exchange at {url} asks us to wait{said}: try again in {error.retry_after} seconds."
        )
    if error is not None and error.wait_ms:  # not sent at all: our own budget, or a ban that is not over
        return ExchangeUnreachable(error.message)
    if environment == Environment.PAPER:
        return ExchangeUnreachable(
            f"The simulator does not answer at {url}{said}: start it with “make demo”, or with"
            " “python -m simulator --port …”, then try again."
        )
    return ExchangeUnreachable(
        f"The exchange does not answer at {url}{said}: check the network and"
        f" BINANCE_{environment}_REST_URL, then try again."
    )


def _code(error: ExchangeError) -> str:
    return str(error.code) if error.code else f"HTTP {error.status}" if error.status else "no answer"
