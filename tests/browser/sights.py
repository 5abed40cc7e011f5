"""A page as people see it: at each width, light and dark, with nothing cut off and nothing to scroll sideways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Page

Picture = Callable[[str], Path]  # takes one of the page, by its name
WIDTHS = (390, 1024, 1440)
STICKS_OUT = """width => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1)
  .slice(0, 8).map(e => e.tagName + '.' + e.className).join(', ')"""


def looked_at(page: Page, picture: Picture, name: str, *, widths: Sequence[int] = WIDTHS) -> None:
    """Open the page as it is at each width, light and dark; nothing may stick out of it. Keeps a picture of each."""
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        page.reload()
        page.wait_for_load_state("networkidle")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(150)  # until what depends on the width is drawn again
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} at {width} is {wide} wide: {page.evaluate(STICKS_OUT, width)}"
            picture(f"{name}-{width}-{colours}")
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (colours == "dark")
    page.emulate_media(color_scheme="light")
    page.reload()
