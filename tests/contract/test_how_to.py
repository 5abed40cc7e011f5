"""The how-to works as it is written: its commands and its Python are run."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.unit.simulator.process import Venue

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "use-the-simulator-with-your-own-client.md"
ADDRESS = "127.0.0.1:8787"


def section(title: str) -> str:
    """The indented code below a heading."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line.strip())


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    """The exchange of the first command, on a free port and with its state elsewhere."""
    words = shlex.split(section("Start an exchange").strip().splitlines()[0])
    assert words[:5] == [".venv/bin/python", "-m", "simulator", "--port", "8787"]
    options = [str(tmp_path / "state") if word == ".run/my-exchange" else word for word in words[5:]]
    venue = Venue(*options)
    yield venue
    venue.end()


def curls(text: str) -> list[tuple[str, str | None]]:
    """Address and body of every curl command."""
    found = []
    for line in text.splitlines():
        if line.startswith("curl"):
            words = shlex.split(line)
            body = words[words.index("-d") + 1] if "-d" in words else None
            found.append((words[-1], body))
    return found


def test_every_curl_command_does_what_it_says(venue: Venue) -> None:
    commands = [
        c for title in ("Start an exchange", "Make something go wrong") for c in curls(section(title))
    ]
    assert len(commands) == 6
    for address, body in commands:
        url = address.replace(f"http://{ADDRESS}", venue.url)
        answer = venue.session.post(url, data=body) if body else venue.session.get(url)
        assert answer.ok, (address, answer.text)
    assert len(venue.sim("GET", "faults")) == 2
    assert [a["name"] for a in venue.sim("GET", "state")["accounts"]] == ["desk", "second"]


@pytest.mark.parametrize("title", ["Binance's own library", "In a test, without a socket"])
def test_the_python_runs(venue: Venue, title: str) -> None:
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(section(title).replace(f"http://{ADDRESS}", venue.url), title, "exec"), {})
    assert re.search(r"server_?[tT]ime", said.getvalue())


def test_the_page_names_only_what_exists() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+\.md)\)", text):
        assert (PAGE.parent / link).resolve().exists()
    for body in re.findall(r"-d '(\{.*?\})' http", text):
        json.loads(body)
