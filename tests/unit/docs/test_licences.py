"""No dependency forbids the licence, and the page names each that is not merely permissive."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, metadata

from tests.unit.docs.pages import CHECKOUT, rows, text

PAGE = "docs/reference/licences.md"
PERMISSIVE = re.compile(
    r"\b(0BSD|Apache|BSD|ISC|MIT|PSF|Python Software Foundation|Unlicense)\b", re.IGNORECASE
)
COPYLEFT = re.compile(r"\b[AL]?GPL|General Public|\bMPL|Mozilla|\bEUPL|\bSSPL|\bCDDL", re.IGNORECASE)


def licence(package: str) -> str:
    """Return all that an installed package says of its licence; nothing where it is not for this Python."""
    try:
        found = metadata(package)
    except PackageNotFoundError:
        return ""
    said = [found["License-Expression"] or "", (found["License"] or "").partition("\n")[0]]
    said += [line for line in found.get_all("Classifier") or [] if line.startswith("License")]
    return " · ".join(filter(None, said)) or "nothing"


def licences(section: str) -> dict[str, str]:
    lock = json.loads(text("Pipfile.lock"))
    found = {package: licence(package) for package in lock[section]}
    return {package: words for package, words in found.items() if words}


def test_each_package_that_is_not_merely_permissive_is_on_the_page() -> None:
    runtime = licences("default")
    development = {name: words for name, words in licences("develop").items() if name not in runtime}
    assert len(runtime) > 30
    assert len(development) > 10

    def special(found: dict[str, str]) -> set[str]:
        return {
            name for name, words in found.items() if COPYLEFT.search(words) or not PERMISSIVE.search(words)
        }

    listed = {(row[0].strip("`"), row[1]) for row in rows(PAGE, "Not merely permissive")}

    assert listed == {(name, "runtime") for name in special(runtime)} | {
        (name, "development") for name in special(development)
    }


def test_nothing_that_runs_is_under_the_gpl_itself() -> None:
    strong = re.compile(r"(?<!L)GPL|(?<!Lesser )General Public", re.IGNORECASE)

    assert {name for name, words in licences("default").items() if strong.search(words)} == set()


def test_the_licence_is_the_one_that_the_project_names() -> None:
    assert (CHECKOUT / "LICENSE").read_text().startswith("MIT License\n")
