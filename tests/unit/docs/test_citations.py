"""Whatever a file cites is in the repository, under that name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.unit.docs.pages import CHECKOUT, rows
from tests.walk import rows as walk

REFUSALS = "docs/explanation/refusals-and-losses.md"
PAGE = re.compile(r"(?<![\w/.:-])(?:[\w.-]+/)*[\w-]+\.md\b")
# A section's number, or a document without a name: a reader can open neither.
ELSEWHERE = re.compile("\N{SECTION SIGN}" + r"|\b[Tt]he design\b")


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every file of the repository that is text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        path = CHECKOUT / name
        if path.is_file() and b"\0" not in (body := path.read_bytes()):
            yield path, body.decode(errors="replace")


def test_every_page_that_a_file_names_is_in_the_repository() -> None:
    read = [(path.relative_to(CHECKOUT).as_posix(), text) for path, text in texts()]
    pages = ["/" + name for name, _ in read if name.endswith(".md")]
    assert len(read) > 400, "the search for files has gone blind"

    # A page may be named from the top, from the file's own folder, or by its own name alone
    cited = [(name, page.replace("../", "")) for name, text in read for page in PAGE.findall(text)]
    assert len(cited) > 150, "the search for citations has gone blind"

    assert [(name, page) for name, page in cited if not any(p.endswith("/" + page) for p in pages)] == []


def test_no_file_cites_a_document_that_nobody_can_open() -> None:
    found = [
        (path.relative_to(CHECKOUT).as_posix(), match.group())
        for path, text in texts()
        for match in ELSEWHERE.finditer(text)
    ]

    assert found == []


def test_the_walk_reaches_the_rows_of_refusals_and_losses_and_no_others() -> None:
    transitions = {name for name, *_ in walk.LIFE}
    headings = (
        "A leg is refused",
        "A leg is lost, or ends early",
        "Somebody else acts",
        "The exit",
    )
    told = [row[0] for heading in headings for row in rows(REFUSALS, heading)]

    assert sorted(told) == sorted(set(walk.ROWS) - transitions)
