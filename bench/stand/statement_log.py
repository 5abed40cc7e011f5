"""PostgreSQL's own log of what it is asked: statements, transactions and commits that write, by process.

Each process has its name as ``application_name`` (PGAPPNAME). What is counted is a message to the server: several
statements sent as one cost one round trip, and count as one. BEGIN and COMMIT are counted apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "bench~%a~%c~%x~"  # who, session, number of the transaction: 0 while it has written nothing
LINE: Final = re.compile(
    r"bench~(?P<who>[^~]*)~(?P<session>[^~]*)~(?P<xid>\d+)~(?P<kind>LOG: +statement|DETAIL: +prepare): (?P<text>.*)",
    re.DOTALL,
)
WRITES: Final = re.compile(
    r"\bINSERT\s+INTO\b|(?<!FOR )(?<!FOR NO KEY )\bUPDATE\s+\S+\s|\bDELETE\s+FROM\b", re.IGNORECASE
)
OPENING: Final = ("BEGIN", "START TRANSACTION")
CLOSING: Final = ("COMMIT", "ROLLBACK", "END", "ABORT")
MARKS: Final = ("SAVEPOINT", "RELEASE", "ROLLBACK TO")


@dataclass(slots=True)
class Counts:
    """What one process asked of PostgreSQL."""

    statements: int = 0
    transactions: int = 0
    commits: int = 0  # that wrote something, so that PostgreSQL waited for its disk
    texts: Counter[str] = field(default_factory=Counter)

    def name(self, text: str, *, lone: bool) -> None:
        """Note what a statement says; one that writes and stands alone is a commit."""
        self.texts[_shape(text)] += 1
        self.commits += lone and bool(WRITES.search(text))


def count(lines: Iterable[str]) -> dict[str, Counts]:
    """Count by process what these lines of the log say."""
    found: dict[str, Counts] = {}
    inside: set[str] = set()  # sessions in a transaction of their own
    for entry in _entries(lines):
        match = LINE.match(entry)
        if match is None:
            continue
        counts = found.setdefault(match["who"] or "unnamed", Counts())
        session, text = match["session"], match["text"].strip()
        if match["kind"].startswith("DETAIL"):  # what was prepared, of the EXECUTE before it
            counts.name(text.partition(" AS ")[2], lone=session not in inside)
            continue
        word = text.upper()
        if word.startswith(OPENING):
            inside.add(session)
            counts.transactions += 1
        elif word.startswith(CLOSING) and not word.startswith("ROLLBACK TO"):
            inside.discard(session)
            counts.commits += word.startswith(("COMMIT", "END")) and match["xid"] != "0"
        elif not word.startswith(MARKS):
            counts.statements += 1
            counts.transactions += session not in inside
            if not word.startswith("EXECUTE "):
                counts.name(text, lone=session not in inside)
    return found


def _entries(lines: Iterable[str]) -> Iterator[str]:
    """Put together what the log breaks: a line that goes on begins with a tab."""
    entry = ""
    for line in lines:
        if line.startswith("\t"):
            entry += line
            continue
        if entry:
            yield entry
        entry = line
    if entry:
        yield entry


def _shape(text: str) -> str:
    """Return the beginning of a statement without its values, so that the same ones count together."""
    plain = re.sub(r"'(?:[^']|'')*'|\b\d+\b", "?", " ".join(text.split()))
    return plain[:110]


class StatementLog:
    """Has a PostgreSQL of our own log every statement, for as long as it is asked."""

    def __init__(self, run: Path) -> None:
        self._path = run / "logs" / "postgres.log"

    @contextmanager
    def counting(self) -> Iterator[dict[str, Counts]]:
        """Fill in what each process asks meanwhile."""
        found: dict[str, Counts] = {}
        self._set("all")
        try:
            since = self._path.stat().st_size
            yield found
            with self._path.open(encoding="utf-8", errors="replace") as log:
                log.seek(since)
                found |= count(log)
        finally:
            self._set("none")

    def _set(self, what: str) -> None:
        with _superuser() as cursor:
            cursor.execute("ALTER SYSTEM SET log_line_prefix = %s", [PREFIX])
            cursor.execute("ALTER SYSTEM SET log_statement = %s", [what])
            cursor.execute("SELECT pg_reload_conf()")
            # Its processes read the settings anew before their next statement, once they have been told.
            cursor.execute("SELECT pg_sleep(0.3)")


@contextmanager
def _superuser() -> Iterator[Any]:
    import psycopg2

    from local_servers import manager

    link = psycopg2.connect(
        host=str(manager.sockets_dir()), user="postgres", dbname="postgres", application_name="bench"
    )
    link.autocommit = True
    try:
        with link.cursor() as cursor:
            yield cursor
    finally:
        link.close()
