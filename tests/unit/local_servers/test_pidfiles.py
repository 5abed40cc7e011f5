"""Processes of a killed run are known again and ended; somebody else's are not touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_servers import leftovers, pidfiles
from local_servers.manager import CHECKOUT
from tests.unit.processes import alive, bare_environment, until

RECORDED = "from local_servers import pidfiles; import signal; pidfiles.write_pid_file({name!r}); print(1, flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + RECORDED
PARENT = """
import os, subprocess, sys, time
code = "from local_servers import pidfiles; import signal; pidfiles.die_with_parent(); print(1, flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIO_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def started(run_folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    found: list[subprocess.Popen[str]] = []
    yield found
    for process in found:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start(
    started: list[subprocess.Popen[str]], code: str, cwd: Path = CHECKOUT, python: str = sys.executable
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [python, "-c", code],
        cwd=cwd,
        env=bare_environment(TRIO_RUN_DIR=os.environ["TRIO_RUN_DIR"]),
        stdout=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_what_a_killed_run_left_is_found_and_ended(started: list[subprocess.Popen[str]]) -> None:
    # Given a process of ours that nobody looks after any more
    process = start(started, RECORDED.format(name="runworker-0"))
    assert [found.name for found in leftovers.find()] == ["runworker-0"]

    # When leftovers are ended, then it is gone, and so is its pid file
    assert leftovers.end_all() == [f"runworker-0 ({process.pid})"]
    assert process.wait(5) == -signal.SIGTERM
    assert list(pidfiles.pids_dir().iterdir()) == []


def test_what_ignores_a_polite_request_is_killed(started: list[subprocess.Popen[str]]) -> None:
    process = start(started, STUBBORN.format(name="web"))
    (found,) = pidfiles.recorded()

    pidfiles.end(found, seconds=0.2)

    assert process.wait(5) == -signal.SIGKILL


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(started: list[subprocess.Popen[str]]) -> None:
    # Given a pid file whose number was given to another process since
    process = start(started, RECORDED.format(name="web"))
    path = pidfiles.pids_dir() / "web.json"
    path.write_text(json.dumps({"pid": process.pid, "started": pidfiles.start_time(process.pid) - 100}))

    # When leftovers are ended, then that process lives and the file is dropped
    assert leftovers.end_all() == []
    assert alive(process.pid)
    assert not path.exists()


def test_a_process_of_another_checkout_is_left_alone(
    started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start(started, RECORDED.format(name="web"), cwd=tmp_path, python=sys._base_executable)  # type: ignore[attr-defined]

    assert leftovers.end_all() == []
    assert alive(process.pid)


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', "[]", '{"pid": "x", "started": 1}'])
def test_a_broken_pid_file_is_dropped(run_folder: Path, content: str) -> None:
    (pidfiles.pids_dir() / "web.json").write_text(content)

    assert leftovers.find() == []
    assert list(pidfiles.pids_dir().iterdir()) == []


def test_a_child_dies_with_its_parent_however_that_ends(started: list[subprocess.Popen[str]]) -> None:
    # Given a parent whose child asked to die with it
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env=bare_environment(), stdout=subprocess.PIPE, text=True
    )
    started.append(parent)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    # When the parent is killed outright, then the child goes too
    parent.kill()
    until("the child is gone", lambda: not alive(child), seconds=5)
