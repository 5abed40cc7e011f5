"""The only code that reads a destination's URL in clear, to send to it. The master key is rotated by ``accounts.credentials``."""

from __future__ import annotations

from cryptography.fernet import InvalidToken

from exchange.secret import Secret
from notices.models import DestinationUrl


class UrlUnreadable(Exception):
    """The stored URL cannot be decrypted, or none is stored (a dump holds none)."""


def url_of(destination_id: int) -> Secret:
    """Return a destination's URL. Raises UrlUnreadable."""
    row = DestinationUrl.objects.filter(destination_id=destination_id).first()
    try:
        url = row.url.decrypt() if row else Secret("")
    except InvalidToken:
        url = Secret("")
    if not url:
        raise UrlUnreadable
    return url
