"""The only code that decrypts credentials: for a client, and to re-encrypt them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.db import models, transaction

from accounts.errors import CredentialsUnreadable
from accounts.fields import SecretTextField, newest_fernet
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
    """The result of a re-encryption; ``unreadable`` names what no configured key decrypts: accounts, and whatever else is sealed."""

    rotated: int
    already: int
    unreadable: tuple[str, ...]


def rotate(progress: Callable[[int, int], None] | None = None) -> Rotation:
    """Re-encrypt everything that is sealed with the first key of ``CREDENTIALS_MASTER_KEY``. Safe to repeat.

    Credentials, and whatever other rooms keep in a ``SecretTextField``. ``progress`` is called with (done, total). A row
    that no configured key decrypts is left as it is and named.
    """
    rows = [(model, pk) for model in sealed_models() for pk in _keys(model)]
    found: Counter[bool] = Counter()
    unreadable: list[str] = []
    for done, (model, pk) in enumerate(rows, start=1):
        try:
            rotated = _rotate(model, pk)
        except InvalidToken:
            unreadable.append(_name(model, pk))
        else:
            if rotated is not None:
                found[rotated] += 1
        if progress:
            progress(done, len(rows))
    return Rotation(found[True], found[False], tuple(unreadable))


def sealed_models() -> list[type[models.Model]]:
    """Return the tables that hold something sealed; credentials first."""
    found = [model for model in apps.get_models() if _sealed_fields(model)]
    return sorted(found, key=lambda model: model is not Credential)


def _sealed_fields(model: type[models.Model]) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if isinstance(field, SecretTextField)]


def _keys(model: type[models.Model]) -> list[Any]:
    return list(model._default_manager.order_by("pk").values_list("pk", flat=True))


def _rotate(model: type[models.Model], pk: Any) -> bool | None:
    """Re-encrypt one row; return whether it had to be, ``None`` when it is gone. Raises InvalidToken."""
    with transaction.atomic():
        row = model._default_manager.select_for_update(of=("self",)).filter(pk=pk).first()
        if row is None:
            return None
        sealed = {name: getattr(row, name) for name in _sealed_fields(model)}
        if all(_is_newest(value.ciphertext) for value in sealed.values()):
            return False
        # update(), not save(): the secret is the same, so clients made from it stay valid.
        plain: dict[str, Any] = {name: value.decrypt() for name, value in sealed.items()}
        model._default_manager.filter(pk=pk).update(**plain)
        return True


def _is_newest(ciphertext: bytes) -> bool:
    try:
        newest_fernet().decrypt(ciphertext)
    except InvalidToken:
        return False
    return True


def _name(model: type[models.Model], pk: Any) -> str:
    row = model._default_manager.filter(pk=pk).first()
    return row.account.name if isinstance(row, Credential) else str(row)
