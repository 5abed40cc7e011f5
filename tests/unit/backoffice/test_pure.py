"""The tests that start without Django: the list is whole, and true."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.pure import CHECKOUT, FAST, SLOWER, are_all_pure, is_pure

TESTS = sorted((CHECKOUT / "tests").rglob("test_*.py"))
# What imports Django, now or at the first use. import-linter holds the other rooms free of it.
DJANGO = (
    *("accounts", "backoffice", "demo", "django", "infrastructure", "notices", "orders", "replay", "signals"),
    "worker",
    *("local_servers.django_backend", "local_servers.serve"),
)
BUT = (
    "demo.bars",
    "notices.domain",
    "notices.sender",
    "orders.domain",
    "replay.market",
    "replay.recordings",
    "replay.report",
    "signals.domain",
    "signals.strategies",
    "worker.keyed_executor",
    "worker.wake_timer",
)
TRACES = "import sys, pytest; ended = pytest.main(sys.argv[1:]); print('django' in sys.modules, int(ended))"


@cache
def imported(file: Path) -> frozenset[str]:
    """Return what a file imports, also inside functions; what is for the type checker alone does not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    unseen = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@cache
def needs_django(file: Path) -> bool:
    """Does a test import Django: itself, through tests' own modules, or through its room's conftest?"""
    seen: set[Path] = set()
    ahead = {file} | ({room} if (room := file.with_name("conftest.py")).exists() else set())
    while ahead:
        here = ahead.pop()
        seen.add(here)
        for name in imported(here):
            if _is_of(name, DJANGO) and not _is_of(name, BUT) and not _leads_to(name, BUT):
                return True
            if name.startswith("tests."):
                module = (CHECKOUT / Path(*name.split("."))).with_suffix(".py")
                ahead |= {module} - seen if module.exists() else set()
    return False


def _is_of(name: str, rooms: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{room}.") for room in rooms)


def _leads_to(name: str, modules: tuple[str, ...]) -> bool:
    """Is it the package in ``from package import module``? The module is judged beside it."""
    return any(module.startswith(f"{name}.") for module in modules)


def test_what_needs_no_django_is_on_a_list_and_what_needs_it_is_on_none() -> None:
    assert [str(file) for file in TESTS if needs_django(file) == is_pure(file)] == []


def test_what_is_listed_is_there() -> None:
    assert [listed for listed in (*FAST, *SLOWER) if not (CHECKOUT / listed).exists()] == []


def test_the_fast_ones_are_collected_without_loading_django() -> None:
    environment = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", TRACES, "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", *FAST],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert ran.stdout.splitlines()[-1:] == ["False 0"], ran.stdout[-2000:] + ran.stderr
    rooms = {Path(line).parts[2] for line in ran.stdout.splitlines() if line.startswith("tests/unit")}
    assert rooms >= {"exchange", "orders", "simulator"}


def test_one_that_needs_django_among_the_chosen_sets_it_up_for_all() -> None:
    domain, worker = "tests/unit/orders/domain/test_decide.py::test_x[a/b]", "tests/unit/worker"

    assert are_all_pure([domain])
    assert are_all_pure([*FAST, *SLOWER])
    assert not are_all_pure([domain, worker])
    assert not are_all_pure(["tests/unit/orders"])
    assert not are_all_pure([])
