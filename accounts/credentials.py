"""The only code that decrypts credentials: for a client, and to re-encrypt them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.fernet import InvalidToken
from django.db import transaction

from accounts.errors import CredentialsUnreadable
from accounts.fields import newest_fernet
from accounts.models import Credential
from exchange.secret import Secret

MADE_FROM = """
    SELECT account.environment, account.name, credential.updated_at FROM accounts_credential credential
    JOIN accounts_exchangeaccount account ON account.id = credential.account_id
    WHERE credential.account_id = %s
"""


def secrets_of(account_id: int, name: str) -> tuple[Secret, Secret]:
    credential = Credential.objects.get(account_id=account_id)
    try:
        api_key, api_secret = credential.api_key.decrypt(), credential.api_secret.decrypt()
    except InvalidToken:
        raise CredentialsUnreadable(
            f"The stored API key of “{name}” cannot be decrypted: CREDENTIALS_MASTER_KEY is not the one it"
            " was stored under. Put the old key back (after a comma), or use “Replace credentials”."
        ) from None
    if not api_key or not api_secret:  # a row loaded from a dump: dumps never hold secrets
        raise CredentialsUnreadable(
            f"“{name}” has no API key stored: enter it again with “Replace credentials”."
        )
    return api_key, api_secret


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a re-encryption; ``unreadable`` names the accounts that no configured key decrypts."""

    rotated: int
    already: int
    unreadable: tuple[str, ...]


def rotate(progress: Callable[[int, int], None] | None = None) -> Rotation:
    """Re-encrypt every credential with the first key of ``CREDENTIALS_MASTER_KEY``. Safe to repeat.

    ``progress`` is called with (done, total). A row that no configured key decrypts is left as it is and named.
    """
    first = newest_fernet()
    rotated = already = 0
    unreadable: list[str] = []
    ids = list(Credential.objects.order_by("account_id").values_list("account_id", flat=True))
    for done, account_id in enumerate(ids, start=1):
        with transaction.atomic():
            row = (
                Credential.objects.select_for_update(of=("self",))
                .select_related("account")
                .filter(account_id=account_id)
                .first()
            )
            if row is None:
                continue
            try:
                for sealed in (row.api_key, row.api_secret):
                    first.decrypt(sealed.ciphertext)
                already += 1
            except InvalidToken:
                try:
                    plain = {"api_key": row.api_key.decrypt(), "api_secret": row.api_secret.decrypt()}
                except InvalidToken:
                    unreadable.append(row.account.name)
                else:
                    # update(), not save(): the key is the same, so clients made from it stay valid.
                    Credential.objects.filter(account_id=account_id).update(**plain)
                    rotated += 1
        if progress:
            progress(done, len(ids))
    return Rotation(rotated, already, tuple(unreadable))
