"""The rooms stay apart: what must not know Django does not, and the simulator shares nothing with the adapter."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_servers.manager import CHECKOUT
from tests.unit.processes import bare_environment, run

PURE = (
    *("orders/domain", "signals/domain", "signals/strategies", "notices/domain", "notices/sender"),
    *("exchange", "simulator"),
)
# Benchmarks that start servers of their own, and what they stand on.
WITH_SERVERS = {
    "alone.py",
    "budget.py",
    "bulk.py",
    "client.py",
    "queueing.py",
    "replay.py",
    "hotspots.py",
    "scale.py",
    "signals.py",
    "trio.py",
}
WITH_SERVERS |= {"bulks.py", "million.py", "preview.py", "servers.py", "statement_log.py"}
DRAWN_OR_COMPARED = {
    "bench",
    "binance",
    "binance_common",
    "binance_sdk_derivatives_trading_usds_futures",
    "ccxt",
    "matplotlib",
}
DJANGO = {"django", "backoffice", "accounts", "worker", "unfold", "django_rq"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: say where from"
            yield node.module or ""


def files(room: str) -> list[Path]:
    found = sorted((CHECKOUT / room).rglob("*.py"))
    assert found, f"{room} is empty: the test has gone blind"
    return found


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_imports_no_django_and_no_outer_room(room: str) -> None:
    outer = DJANGO | ({"orders"} if not room.endswith("/domain") else set())
    outer |= {"signals"} if not room.startswith(("signals/", "notices/domain")) else set()

    wrong = [
        (path.name, name) for path in files(room) for name in imports(path) if name.split(".")[0] in outer
    ]

    assert wrong == []


@pytest.mark.parametrize(
    "room", ["notices/domain", "notices/sender", "orders/domain", "signals/domain", "signals/strategies"]
)
def test_a_domain_knows_of_orders_and_signals_only_domains(room: str) -> None:
    wrong = [
        (path.name, name)
        for path in files(room)
        for name in imports(path)
        if name.split(".")[0] in ("orders", "signals")
        and not name.startswith(("orders.domain", "signals.domain"))
        and not (room == "signals/strategies" and name.startswith(room.replace("/", ".")))
    ]

    assert wrong == []


def test_simulator_and_exchange_share_no_code() -> None:
    # Sharing a mapping, they would agree on the same mistake
    assert not [
        path for path in files("simulator") for name in imports(path) if name.split(".")[0] == "exchange"
    ]
    assert not [
        path for path in files("exchange") for name in imports(path) if name.split(".")[0] == "simulator"
    ]


def test_the_product_imports_no_benchmark_and_a_benchmark_nothing_that_needs_a_database() -> None:
    rooms = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - {"bench", "tests"}
    product = [path for room in rooms for path in files(room)]
    assert not [path for path in product for name in imports(path) if name.split(".")[0] == "bench"]

    allowed = set(sys.stdlib_module_names) | {"exchange", "simulator"} | DRAWN_OR_COMPARED
    assert not [
        (path, name)
        for path in files("bench")
        if path.name not in WITH_SERVERS
        for name in imports(path)
        if name.split(".")[0] not in allowed and not name.startswith("orders.domain.")
    ]


@pytest.mark.parametrize("room", PURE)
def test_importing_a_pure_room_loads_no_django(room: str) -> None:
    modules = [
        str(path.relative_to(CHECKOUT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        for path in files(room)
        if path.name != "__main__.py"
    ]
    code = f"import importlib, sys; [importlib.import_module(m) for m in {modules!r}]; print('django' in sys.modules)"

    done = run("-c", code, environment=bare_environment())

    assert done.stdout.strip() == "False", done.stderr
