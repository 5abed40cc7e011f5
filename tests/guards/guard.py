"""What a guard is, and how it is taken away: the smallest change to one or two lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Removal:
    """Put ``new`` where ``old`` stands in one file, and stands there once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: what it serves and prevents, how to remove it, and what fails without it.

    ``raises``: names of exceptions by which its tests fail besides an assertion, where that is the point.
    """

    name: str
    promises: str
    prevents: str
    removals: tuple[Removal, ...]
    tests: tuple[str, ...]
    raises: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(removal.file for removal in self.removals))

    @property
    def in_migrations(self) -> bool:
        return any("/migrations/" in file for file in self.files)

    def without(self, root: Path) -> dict[str, str]:
        """Return the texts of its files without it. Raises ValueError when it is not where it was."""
        texts: dict[str, str] = {}
        for removal in self.removals:
            before = texts.get(removal.file) or (root / removal.file).read_text()
            if (found := before.count(removal.old)) != 1:
                raise ValueError(f"{removal.file} holds {removal.old!r} {found} times, not once")
            texts[removal.file] = before.replace(removal.old, removal.new)
        return texts
