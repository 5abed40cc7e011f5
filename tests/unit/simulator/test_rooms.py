"""The rooms of the simulator: the reference lists each, top to bottom, and imports go down only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import simulator

ROOT = Path(str(simulator.__file__)).parent
PAGE = ROOT.parent / "docs" / "reference" / "simulator.md"
ENTRANCES = {"__init__.py", "__main__.py"}


def listed() -> list[str]:
    return re.findall(r"^\| `simulator/([\w.]+)/?` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def room_of(module: str) -> str:
    """The room of ``simulator.<room>…``, as the page lists it."""
    name = module.split(".")[1]
    return name if (ROOT / name).is_dir() else f"{name}.py"


def test_the_reference_lists_every_room() -> None:
    rooms = {path.name for path in ROOT.iterdir() if path.name not in ENTRANCES | {"__pycache__"}}
    assert set(listed()) == rooms


def test_imports_go_down_only() -> None:
    order = {room: number for number, room in enumerate(listed())}
    upwards = []
    for file in ROOT.rglob("*.py"):
        if file.name in ENTRANCES and file.parent == ROOT:
            continue
        own = file.relative_to(ROOT).parts[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("simulator.") and order[room_of(module)] < order[own]:
                upwards.append(f"{file.relative_to(ROOT)} imports {module}")
    assert upwards == []
