"""axe-core on a page as it is: what breaks WCAG 2.2 AA, each with the element and what axe says of it."""

from __future__ import annotations

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LEVEL_AA: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# axe leaves the size of targets out unless it is named.
OPTIONS: Final[dict[str, Any]] = {
    "runOnly": {"type": "tag", "values": list(LEVEL_AA)},
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}


def violations(page: Page) -> list[str]:
    """Return what axe finds on the page as it is, a line an element."""
    found = Axe().run(page, options=OPTIONS).response["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {_said(node)}"
        for rule in found
        for node in rule["nodes"]
    ]


def _said(node: dict[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    return "; ".join(check["message"] for check in checks)
