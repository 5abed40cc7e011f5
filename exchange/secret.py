"""A text that no page, log or traceback shows: an API key, a secret, a master key."""

from __future__ import annotations

from typing import Any, Final, NoReturn

HIDDEN: Final = "•••"


class Secret(str):
    """Printed, formatted or shown in a frame it is ``•••``, and it refuses to be pickled or copied.

    It encodes, compares and hashes as what it is, so libraries can sign with it. What would turn it into text
    says so: ``reveal()``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A secret is neither pickled nor copied.")

    def reveal(self) -> str:
        """Return the text itself."""
        return str.__str__(self)


def revealed(text: str) -> str:
    """Return the text of what may be a secret, where it must be text: to be hashed or encrypted."""
    return text.reveal() if isinstance(text, Secret) else text
