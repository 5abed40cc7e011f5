"""The lint of the Pipfile notices what it is there for."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from local_servers.manager import CHECKOUT
from tests.lint import declared


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the tree: what git knows or would know of it."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py", "Pipfile"]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (CHECKOUT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, tmp_path / name)
    return tmp_path


def declare(line: str, *, instead_of: str = "") -> Callable[[Path], object]:
    def change(copy: Path) -> None:
        text = (copy / "Pipfile").read_text()
        start = instead_of or "[packages]\n"
        assert text.count(start) == 1
        after = line if instead_of else start + line
        (copy / "Pipfile").write_text(text.replace(start, after))

    return change


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda copy: (copy / name).write_text(text)


def test_the_tree_as_it_is_passes(copy: Path) -> None:
    assert declared.main([str(copy)]) == 0


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (write("orders/odd.py", "import click\n"), "orders/odd.py:1:8: DEP003 'click'"),
        (
            write("orders/odd.py", "def f() -> None:\n    import polars\n"),
            "orders/odd.py:2:12: DEP001 'polars'",
        ),
        (write("orders/odd.py", "import pytest\n"), "orders/odd.py:1:8: DEP004 'pytest'"),
        (write("tests/odd.py", "import click\n"), "tests/odd.py:1:8: DEP003 'click'"),
        (declare("", instead_of='yarl = "*"\n'), "DEP003 'yarl'"),
        (declare('click = "*"\n'), "Pipfile: DEP002 'click'"),
        (declare("", instead_of='gunicorn = "*"\n'), "what the Pipfile does not: gunicorn"),
    ],
)
def test_what_is_undeclared_or_unused_fails(
    copy: Path,
    change: Callable[[Path], object],
    finding: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(copy)

    assert declared.main([str(copy)]) == 1

    said = capsys.readouterr()
    assert finding in said.out + said.err


def test_what_is_listed_as_never_imported_is_so(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = set(declared.UNIMPORTED)
    monkeypatch.setattr(declared, "UNIMPORTED", {"django": "a list must name something"})

    assert declared.main([str(copy)]) == 1

    assert set(re.findall(r"DEP002 '([^']+)'", capsys.readouterr().out)) == listed


def test_what_is_said_to_be_in_the_settings_is_there() -> None:
    named = " ".join([*settings.INSTALLED_APPS, *settings.MIDDLEWARE])
    modules = {
        "django-csp": "csp.",
        "whitenoise": "whitenoise.",
    }

    assert {p for p, how in declared.UNIMPORTED.items() if "MIDDLEWARE" in how} == set(modules)
    assert all(module in named for module in modules.values())
