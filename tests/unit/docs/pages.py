"""The pages as tests read them: text, headings, links, tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
DOCS = CHECKOUT / "docs"
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def pages() -> list[Path]:
    """Return the pages people read: those at the front door, and the documentation."""
    found = [*sorted(CHECKOUT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
    assert {"CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"} <= {page.name for page in found}
    assert len(found) > 30, "the search for pages has gone blind"
    return found


def name(page: Path) -> str:
    return page.relative_to(CHECKOUT).as_posix()


def text(page: str) -> str:
    return (CHECKOUT / page).read_text()


def prose(page: Path) -> str:
    """Return a page without its indented and fenced blocks, where brackets are no links."""
    without_fences = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}.*$", "", without_fences, flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Link:
    page: Path
    target: str

    @property
    def is_local(self) -> bool:
        return "://" not in self.target and not self.target.startswith("mailto:")

    @property
    def path(self) -> Path:
        file = self.target.partition("#")[0]
        return (self.page.parent / file).resolve() if file else self.page

    @property
    def anchor(self) -> str:
        return self.target.partition("#")[2]

    def __str__(self) -> str:
        return f"{name(self.page)} → {self.target}"


def links(page: Path) -> list[Link]:
    return [Link(page, match["target"]) for match in LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings make, as the usual viewers spell them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def section(page: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text(page), re.MULTILINE)
    assert found is not None, f"{page} has no heading “{heading}”"
    rest = text(page)[found.end() :]
    return re.split(rf"^#{{1,{len(found[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the tables under a heading, without their head rows."""
    found: list[list[str]] = []
    for line in section(page, heading).splitlines():
        if line.startswith("|---"):
            found.pop()
        elif line.startswith("|"):
            found.append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
    assert found, f"{page} has no table under “{heading}”"
    return found
