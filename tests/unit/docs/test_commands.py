"""What the pages tell people to type exists, with those options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
from django.core.management import get_commands, load_command_class

from accounts.cli import INTERRUPTED
from local_servers import serve
from orders.cli import wait
from orders.domain.enums import Cause, TrioState
from tests.unit.docs.pages import CHECKOUT, name, pages, rows, section, text

PAGE = "docs/reference/commands.md"
OF_MAKE = {"LOAD_ARGS", "PYTEST_ARGS"}
OF_COMMANDS = {"ACCOUNT_SECRET"}
OF_TESTS = {"MACHINE_EXAMPLES", "FLUSH_TRIOS"}  # how much of it a test does


def our_commands() -> list[str]:
    folders = CHECKOUT.glob("*/management/commands/*.py")
    found = sorted(path.stem for path in folders if path.stem != "__init__")
    assert "place_trio" in found
    return found


@cache
def parser(command: str) -> argparse.ArgumentParser:
    app = get_commands()[command]
    loaded = load_command_class(app, command) if isinstance(app, str) else app
    with patch("sys.argv", ["manage.py"]):
        return loaded.create_parser("manage.py", command)


def options(command: str) -> set[str]:
    return {word for action in parser(command)._actions for word in action.option_strings if word[:2] == "--"}


def own_options(command: str) -> set[str]:
    return options(command) - options("check") - {"--skip-checks", "--help"}


def told(command: str) -> str:
    """Return what the reference says about a command."""
    headings = re.findall(r"^### (.+)$", text(PAGE), re.MULTILINE)
    heading = next((h for h in headings if f"`{command}`" in h), None)
    assert heading is not None, f"{PAGE} has no heading for {command}"
    return section(PAGE, heading)


@pytest.mark.parametrize("command", our_commands())
def test_every_command_is_in_the_reference_with_its_options_and_no_others(command: str) -> None:
    if command == "dumpdata":  # Django's own; its options are Django's
        assert told(command)
        return

    written = set(re.findall(r"--[A-Za-z][\w-]*", told(command)))

    assert own_options(command) - written == set()
    assert written - options(command) == set()


def typed() -> Iterator[tuple[Path, str, list[str]]]:
    """Yield each ``manage.py`` line of the pages: where, which command, which options."""
    for page in pages():
        joined = page.read_text().replace("\\\n", " ")
        for match in re.finditer(r"\b(?:manage\.py|manage) ([a-z]\w+)([^`\n;|]*)", joined):
            yield page, match[1], re.findall(r"--[A-Za-z][\w-]*", match[2])


def test_every_command_that_a_page_types_exists_with_its_options() -> None:
    lines = [line for line in typed() if line[1] not in ("commands", "command")]
    assert len(lines) > 20, "the search for commands has gone blind"

    unknown = [(name(page), command) for page, command, _ in lines if command not in get_commands()]
    mistaken = [
        (name(page), command, option)
        for page, command, given in lines
        if command in get_commands()
        for option in given
        if option not in options(command)
    ]

    assert (unknown, mistaken) == ([], [])


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE))


def test_every_make_target_that_a_page_types_exists() -> None:
    quoted = re.compile(r"`make ([a-z-]+)|^ {4}make ([a-z-]+)", re.MULTILINE)
    named = {word for page in pages() for pair in quoted.findall(page.read_text()) for word in pair if word}

    assert {"demo", "test", "run", "setup"} <= named
    assert named - targets() == set()


def test_the_reference_lists_every_make_target() -> None:
    listed = {word for row in rows(PAGE, "make") for word in re.findall(r"`make ([a-z-]+)`", row[0])}

    assert listed == targets()


def test_what_serve_starts_is_named_and_exists() -> None:
    named = {
        word for page in pages() for word in re.findall(r"-m local_servers\.serve ([a-z]+)", page.read_text())
    }

    assert named
    assert named <= set(serve.COMMANDS)
    assert [word for word in serve.COMMANDS if f"`{word}`" not in section(PAGE, "Not manage.py")] == []


def test_every_variable_that_a_page_sets_is_a_setting() -> None:
    known = set(re.findall(r"^\| `([A-Z_]+)`", text("docs/reference/settings.md"), re.MULTILINE))
    assigned = re.compile(r"(?<![\w-])([A-Z]+_[A-Z_]+|DEBUG)=")

    set_here = {(name(page), word) for page in pages() for word in assigned.findall(page.read_text())}

    assert len(set_here) > 10, "the search for variables has gone blind"
    assert {pair for pair in set_here if pair[1] not in known | OF_MAKE | OF_COMMANDS | OF_TESTS} == set()


def test_every_exit_code_is_in_the_reference_with_the_ends_it_stands_for() -> None:
    table = {int(row[0]): row[-1] for row in rows(PAGE, "Exit codes")}
    codes = {wait.OK, wait.REFUSED, wait.OTHER_END, wait.UNDER_WAY, wait.ASKS, INTERRUPTED}
    assert set(table) == codes

    # Each result of a closed trio, and each end, stands in the row of the code that a script gets
    for cause in (c for c in Cause if c.value in RESULTS):
        assert cause.value in table[code(TrioState.CLOSED, cause)], cause
    for state in (TrioState.DRY_RUN, TrioState.ROLLED_BACK, TrioState.EXPIRED, TrioState.REFUSED):
        assert state.value in table[code(state)], state
    assert "CANCELLED when that was asked" in table[code(TrioState.CANCELLED, Cause.CANCEL_WANTED)]
    assert "CANCELLED in the exchange's app" in table[code(TrioState.CANCELLED, Cause.ENTRY_CANCELLED)]


RESULTS = {cause for cause, *_, leads in rows("docs/reference/states.md", "Causes") if "CLOSED" in leads}


def code(state: TrioState, cause: Cause | None = None) -> int:
    word = cause.value if cause else ""
    result = word if state is TrioState.CLOSED else ""
    return wait.exit_code(state, result=result, cause=word, asks=False, rested=True)
