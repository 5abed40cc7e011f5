"""The architecture page names files that exist, and every room there is."""

from __future__ import annotations

import re
from pathlib import Path

from local_servers.manager import CHECKOUT

PAGE = CHECKOUT / "docs" / "explanation" / "architecture.md"
NO_ROOMS = {"docs", "templates", "tests", "staticfiles"}


def named() -> list[str]:
    """Return the paths that the page names."""
    found = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py|/[a-z_]+\.py))`", PAGE.read_text())
    assert len(found) > 40, "the page names next to nothing: the test has gone blind"
    return found


def test_every_file_that_the_page_names_is_there() -> None:
    assert [name for name in named() if not (CHECKOUT / name).exists()] == []


def said_to_be_in() -> list[tuple[str, str]]:
    """Return the names that the page says are in a file, each with the file."""
    name, file = r"`[A-Za-z_]\w*`", r"`([a-z_]+(?:/[a-z_]+)+\.py)`"
    places = re.findall(rf"({name}(?:(?:, | and ){name})*) (?:in|of) {file}", PAGE.read_text())
    found = [(each, path) for names, path in places for each in re.findall(r"`(\w+)`", names)]
    assert len(found) > 10, "the page says of next to nothing where it is: the test has gone blind"
    return found


def test_every_name_that_the_page_says_is_in_a_file_is_made_there() -> None:
    def is_made(name: str, path: str) -> bool:
        made = rf"^\s*(?:(?:def|class) {name}\b|{name}(?:: | = ))"
        return bool(re.search(made, (CHECKOUT / path).read_text(), re.MULTILINE))

    assert [(name, path) for name, path in said_to_be_in() if not is_made(name, path)] == []


def test_every_room_has_a_line() -> None:
    rooms = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - NO_ROOMS
    inside = {f"orders/{path.parent.name}" for path in CHECKOUT.glob("orders/*/__init__.py")} - {
        "orders/migrations",
        "orders/templatetags",
    }

    assert {name for name in rooms | inside if f"`{name}/`" not in PAGE.read_text()} == set()


def test_the_readme_leads_to_it() -> None:
    assert "(docs/explanation/architecture.md)" in Path(CHECKOUT / "README.md").read_text()
