"""The changelog is cut by release, and the project's version is the newest one."""

from __future__ import annotations

import re
import tomllib

from tests.unit.docs.pages import section, text

RELEASE = re.compile(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def releases() -> list[tuple[tuple[int, ...], str]]:
    found = RELEASE.findall(text("CHANGELOG.md"))
    assert found, "the search for releases has gone blind"
    return [(tuple(map(int, version.split("."))), date) for version, date in found]


def test_the_version_is_the_newest_release() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]

    assert tuple(map(int, version.split("."))) == releases()[0][0]


def test_releases_stand_newest_first_below_what_is_not_released() -> None:
    headings = re.findall(r"^## (.+)$", text("CHANGELOG.md"), re.MULTILINE)

    assert headings[0] == "Unreleased"
    assert len(releases()) == len(headings) - 1
    assert releases() == sorted(releases(), reverse=True)


def test_every_release_says_something() -> None:
    for version, date in RELEASE.findall(text("CHANGELOG.md")):
        assert "\n* " in section("CHANGELOG.md", f"{version} - {date}"), version
