"""A page to look at: accounts, positions, orders, prices, faults."""

from __future__ import annotations

from importlib import resources


def page() -> str:
    """The whole page; it asks /sim/state for everything it shows."""
    return (resources.files("simulator") / "data" / "page.html").read_text(encoding="utf-8")
