"""What can go wrong with an account, each with a sentence for the operator."""

from __future__ import annotations


class AccountsError(Exception):
    """``sentence``: what is wrong and what to do. ``field``: the form field it belongs to."""

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field


class InvalidAccount(AccountsError):
    """The input itself is wrong; the exchange was not asked."""


class AccountExists(AccountsError):
    """An exchange account can be added only once."""


class ExchangeUnreachable(AccountsError):
    """No usable answer. Wait, then try again."""


class ClockOff(AccountsError):
    """The exchange refused our timestamp: the clocks differ."""


class KeyRefused(AccountsError):
    """The exchange refused key or secret. A person has to correct them."""


class AccountUnsuitable(AccountsError):
    """The account works but must not be used: withdrawals allowed, or restricted by the exchange."""


class CredentialsUnreadable(AccountsError):
    """The stored key cannot be decrypted under ``CREDENTIALS_MASTER_KEY``, or none is stored."""


class SettingsRefused(AccountsError):
    """Leverage or margin type could not be set, or does not match what is wanted."""


class AccountInUse(AccountsError):
    """Something lives on the account: it cannot be put away."""
