"""The simulator stands alone: no Django, and no code shared with the client it tests."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import simulator

ALLOWED = {"simulator", "aiohttp", "requests"} | set(sys.stdlib_module_names)


def test_it_imports_nothing_of_the_product_and_no_more_than_aiohttp_and_requests() -> None:
    for file in Path(str(simulator.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in ALLOWED, f"{file.name} imports {name}"


def test_the_engine_reads_no_clock_and_uses_no_unseeded_randomness() -> None:
    root = Path(str(simulator.__file__)).parent
    rooms = ("engine", "faults", "prices", "protocol", "venue")
    for file in [file for room in rooms for file in (root / room).glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert not {"time", "datetime", "secrets", "uuid", "socket", "asyncio"} & set(names), file.name
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "random"
            ):
                assert node.attr == "Random", f"{file.name}: random.{node.attr} is not seeded"


def test_money_is_never_a_float() -> None:
    for file in (Path(str(simulator.__file__)).parent / "engine").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), file.name
            assert not (isinstance(node, ast.Name) and node.id == "float"), file.name
