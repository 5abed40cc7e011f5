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


def test_every_room_has_a_line() -> None:
    rooms = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - NO_ROOMS
    inside = {f"orders/{path.parent.name}" for path in CHECKOUT.glob("orders/*/__init__.py")} - {
        "orders/migrations",
        "orders/templatetags",
    }

    assert {name for name in rooms | inside if f"`{name}/`" not in PAGE.read_text()} == set()


def test_the_readme_leads_to_it() -> None:
    assert "(docs/explanation/architecture.md)" in Path(CHECKOUT / "README.md").read_text()
