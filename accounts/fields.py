"""Text that is encrypted at rest and decrypted only by an explicit call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models
from fernet_fields import EncryptedTextField, hkdf

from exchange.secret import Secret, revealed

if TYPE_CHECKING:
    Base = models.TextField["str | Sealed", "Sealed"]
else:
    Base = EncryptedTextField


def fernet() -> MultiFernet:
    """Build the cipher of ``FERNET_KEYS``: the first key encrypts, all decrypt.

    The library keeps the keys for the life of the process; deriving them anew costs microseconds
    beside a query, and lets a changed setting count at once.
    """
    return MultiFernet([_fernet(key) for key in settings.FERNET_KEYS])


def newest_fernet() -> Fernet:
    """Build the cipher of the first key alone: what it decrypts needs no rotation."""
    return _fernet(settings.FERNET_KEYS[0])


def _fernet(key: str) -> Fernet:
    return Fernet(hkdf.derive_fernet_key(revealed(key)))


class Sealed:
    """Ciphertext as it came from the database. Opened only by ``decrypt``.

    Fetching a row therefore never decrypts: a wrong master key breaks only the use of a key, not the
    pages and lists that load its row.
    """

    __slots__ = ("ciphertext",)

    def __init__(self, ciphertext: bytes) -> None:
        self.ciphertext = ciphertext

    def __repr__(self) -> str:
        return "<sealed>"

    __str__ = __repr__

    def decrypt(self) -> Secret:
        """Return what was sealed. Raises ``cryptography.fernet.InvalidToken`` under a wrong master key."""
        return Secret(fernet().decrypt(self.ciphertext).decode())


class SecretTextField(Base):
    """Encrypted text whose value travels sealed.

    Serializers, ``dumpdata``, ``model_to_dict`` and forms get an empty text.
    """

    @property
    def fernet(self) -> MultiFernet:
        return fernet()

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Sealed | None:
        return None if value is None else Sealed(bytes(value))

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, Sealed | Secret) else super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if isinstance(value, Sealed | Secret) else super().get_prep_value(value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, Sealed):  # untouched since it was read: goes back as it is
            return connection.Database.Binary(value.ciphertext)
        # The library would encrypt what a secret prints as.
        return super().get_db_prep_save(revealed(value) if isinstance(value, str) else value, connection)

    def value_from_object(self, obj: models.Model) -> Any:
        return ""

    def value_to_string(self, obj: Any) -> str:
        return ""
