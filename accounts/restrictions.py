"""What the exchange itself forbids an account: it may only reduce, or may not trade at all.

It is noticed by a refusal, and holds for all processes until a check of the account (*Test connection*) lifts it:
nothing new is opened, and what protects is sent all the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.refusals import RESTRICTIONS, SENTENCES, Refusal


def restriction_note(account_id: int, error: ExchangeError, *, at: datetime) -> ExchangeAccount | None:
    """Remember that the exchange restricts an account; return it, or nothing when the error says no such thing.

    The same refusal seen again keeps the time at which it was seen first.
    """
    if error.refusal not in RESTRICTIONS:
        return None
    ours = ExchangeAccount.objects.filter(pk=account_id)
    ours.exclude(restriction=error.refusal.value, restriction_code=error.code).update(
        restriction=error.refusal.value,
        restriction_code=error.code,
        restriction_text=error.words[:500],
        restricted_at=at,
    )
    return ours.get()


def restriction_lift(account: ExchangeAccount) -> None:
    """Try the account again: a person has looked, or its check found nothing."""
    account.restriction, account.restriction_code, account.restriction_text = "", 0, ""
    account.restricted_at = None
    account.save(update_fields=["restriction", "restriction_code", "restriction_text", "restricted_at"])


def restriction_facts(account: ExchangeAccount) -> dict[str, Any]:
    """Return what a person has to know about it, as the facts of a question."""
    return {
        "account": account.name,
        "meaning": _meaning(account),
        "text": account.restriction_text.rstrip("."),
        "code": account.restriction_code,
        "seen": f"{account.restricted_at:%Y-%m-%d %H:%M:%S} UTC" if account.restricted_at else "not known",
    }


def restriction_sentence(account: ExchangeAccount) -> str:
    """Say why nothing new may be opened on a restricted account; empty when the exchange forbids nothing."""
    if not account.restriction:
        return ""
    facts = restriction_facts(account)
    return (
        f"The exchange refused “{account.name}” ({facts['text']}, code {facts['code']}). {facts['meaning']} Nothing new is "
        f"opened until “Test connection” finds the account in order. (Seen {facts['seen']}.)"
    )


def _meaning(account: ExchangeAccount) -> str:
    return SENTENCES[Refusal(account.restriction)]
