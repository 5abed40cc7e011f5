"""What the repository must not hold: hosts of package indexes, folders of one machine, real keys."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

from local_servers.manager import CHECKOUT
from local_servers.pipfile_lock import main, pipfile_hash, without_sources

# Written apart, so that this page is not its own find.
INDEXES = [
    ".".join(words)
    for words in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
]
FOLDERS = ["/" + word + "/" for word in ("work", "root", "home")]


def tracked_texts() -> dict[str, str]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    texts = {}
    for name in filter(None, names):
        path = CHECKOUT / name
        if path.suffix in {".gz", ".png", ".ico", ".woff2"} or not path.is_file():
            continue
        texts[name] = path.read_text(errors="replace")
    assert "Pipfile.lock" in texts
    return texts


def test_no_package_index_is_named() -> None:
    found = [(name, word) for name, text in tracked_texts().items() for word in INDEXES if word in text]

    assert found == []


def test_no_folder_of_one_machine_is_named() -> None:
    pattern = re.compile("(?<![\\w.<>$}:/-])(?:" + "|".join(map(re.escape, FOLDERS)) + ")")

    found = [
        (name, match.group()) for name, text in tracked_texts().items() for match in pattern.finditer(text)
    ]

    assert found == []


def test_the_lock_names_no_host() -> None:
    lock = (CHECKOUT / "Pipfile.lock").read_text()

    assert "://" not in lock
    assert '"index"' not in lock


def test_a_fresh_lock_loses_its_sources_and_keeps_its_hashes() -> None:
    fresh = {
        "_meta": {"hash": {"sha256": "x"}, "sources": [{"name": "a", "url": "somewhere"}]},
        "default": {"django": {"hashes": ["sha256:1"], "index": "a", "version": "==5.2"}},
        "develop": {"ruff": {"hashes": ["sha256:2"], "index": "a", "version": "==1"}},
    }

    cleaned = without_sources(fresh)

    assert cleaned["_meta"] == {"hash": {"sha256": "x"}, "sources": []}
    assert cleaned["default"]["django"] == {"hashes": ["sha256:1"], "version": "==5.2"}
    assert "index" not in json.dumps(cleaned)


def test_the_lock_is_that_of_the_pipfile_on_a_machine_without_an_index_of_its_own() -> None:
    """Otherwise “pipenv install” finds it out of date there, and resolves everything anew."""
    pipfile = tomllib.loads((CHECKOUT / "Pipfile").read_text())
    lock = json.loads((CHECKOUT / "Pipfile.lock").read_text())

    assert "source" not in pipfile
    assert lock["_meta"]["sources"] == []
    assert lock["_meta"]["hash"]["sha256"] == pipfile_hash(pipfile), "run: make lock"


def test_a_lock_made_where_an_index_is_configured_gets_the_hash_that_all_others_expect(
    tmp_path: Path,
) -> None:
    (tmp_path / "Pipfile").write_text((CHECKOUT / "Pipfile").read_text())
    made = json.loads((CHECKOUT / "Pipfile.lock").read_text())
    made["_meta"] |= {"hash": {"sha256": "of this machine"}, "sources": [{"name": "own", "url": "somewhere"}]}
    (tmp_path / "Pipfile.lock").write_text(json.dumps(made))

    main([str(tmp_path / "Pipfile.lock")])

    assert (tmp_path / "Pipfile.lock").read_text() == (CHECKOUT / "Pipfile.lock").read_text()


def test_env_and_run_stay_out_of_the_repository() -> None:
    ignored = (CHECKOUT / ".gitignore").read_text().splitlines()

    assert {"/.env", "/.run/", "/.venv/", "/.tool/"} <= set(ignored)
