"""What vulture is told to leave alone is there, and is what it would name."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

from vulture import Vulture

from local_servers.manager import CHECKOUT

SETTINGS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["vulture"]


def named(*paths: Path, **left_alone: list[str]) -> list[str]:
    finder = Vulture(**left_alone)
    finder.scavenge([str(path) for path in paths], exclude=SETTINGS["exclude"])
    return [str(item.name) for item in finder.get_unused_code()]


def test_each_name_that_is_left_alone_would_be_named_otherwise() -> None:
    found = named(
        *(CHECKOUT / path for path in SETTINGS["paths"]), ignore_decorators=SETTINGS["ignore_decorators"]
    )

    assert [
        pattern
        for pattern in SETTINGS["ignore_names"]
        if not any(fnmatchcase(name, pattern) for name in found)
    ] == []


def test_what_nothing_uses_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "@action\ndef pressed():\n    return used()\n\n\ndef used():\n    return 1\n\n\ndef nobody_calls_this():\n    pass\n"
    )

    left_alone = {name: SETTINGS[name] for name in ("ignore_names", "ignore_decorators")}
    assert named(tmp_path, **left_alone) == ["nobody_calls_this"]
