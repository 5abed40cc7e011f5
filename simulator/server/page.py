"""The page for a browser: accounts, positions, orders, prices, faults."""

from __future__ import annotations

from importlib import resources


def page() -> str:
    """The HTML of the page; it reads everything it shows from /sim/state."""
    return (resources.files("simulator") / "data" / "page.html").read_text(encoding="utf-8")
