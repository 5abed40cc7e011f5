"""What can go wrong with an account, each as a sentence for the operator."""

from __future__ import annotations


class AccountsError(Exception):
    """A clear sentence: what is wrong and what to do. ``field`` names the form field it belongs to."""

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field


class InvalidAccount(AccountsError):
    """The input itself is wrong; nobody was asked."""


class AccountExists(AccountsError):
    """One account of the exchange is entered once."""


class ExchangeUnreachable(AccountsError):
    """No answer, or none that tells anything. Wait, then try again."""


class ClockOff(AccountsError):
    """The exchange refused our time."""


class KeyRefused(AccountsError):
    """The exchange refused key or secret. A person has to mend them."""


class AccountUnsuitable(AccountsError):
    """The account works but must not be used: withdrawals allowed, multi-assets mode."""


class CredentialsUnreadable(AccountsError):
    """What is stored cannot be decrypted under ``CREDENTIALS_MASTER_KEY``, or nothing is stored."""


class SettingsRefused(AccountsError):
    """Leverage or margin type could not be set, or does not match what is wanted."""
