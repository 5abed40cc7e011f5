"""Four honest errors, each named for what the caller does next. Nothing else leaves this room."""

from __future__ import annotations

from exchange.refusals import Refusal


class ExchangeError(Exception):
    """What an exchange's answer, or its silence, means for us.

    ``code`` is the exchange's own (0 when there was none), ``status`` the HTTP status (0 when no
    answer came), ``excerpt`` at most 500 characters of the body. Never holds a key or a signature.
    ``retry_after`` is in seconds where the exchange gave it; ``wait_ms`` is how long to wait before asking again,
    as we understand it (0: not known). ``refusal`` is what the answer means, ``None`` when
    none came; ``words`` are the exchange's own, without ours around them.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        status: int = 0,
        excerpt: str = "",
        retry_after: int | None = None,
        refusal: Refusal | None = None,
        words: str = "",
        wait_ms: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.excerpt = excerpt
        self.retry_after = retry_after
        self.refusal = refusal
        self.words = words
        self.wait_ms = wait_ms

    @property
    def said(self) -> str:
        """Return the exchange's own words and code, to stand inside a sentence of ours; ours where it said nothing."""
        if not self.words:
            return self.message.rstrip(".")
        return f"{self.words.rstrip('.')} (code {self.code})" if self.code else self.words.rstrip(".")


class OrderRejected(ExchangeError):
    """The exchange said no. Nothing is on the book; sending the same again is pointless."""


class OutcomeUnknown(ExchangeError):
    """The order may or may not exist. Ask by client order id before doing anything else."""


class ExchangeUnavailable(ExchangeError):
    """The request never reached the book. Wait, then try again."""


class CredentialsRefused(ExchangeError):
    """A person has to act: the API key, or the account itself, is refused. Stop trading on this account."""
