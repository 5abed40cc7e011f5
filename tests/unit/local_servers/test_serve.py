"""What supervisord starts: each process dies with it, and says why when it has nothing to do."""

from __future__ import annotations

import configparser
import json
import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from local_servers import serve
from local_servers.manager import CHECKOUT
from local_servers.write_env import free_ports
from tests.unit.backoffice.test_settings import GOOD
from tests.unit.processes import alive, bare_environment, run, until

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "local_servers.serve", "web"])
time.sleep(120)
"""


def health(port: int) -> dict[str, object]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            found: dict[str, object] = json.load(answer)
    except urllib.error.HTTPError as answer:  # 503 is an answer, too
        with answer:
            return dict(json.load(answer))
    except OSError:
        return {}
    return found


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_web_serves_and_dies_with_its_parent() -> None:
    # Given a web started by a parent, on servers that did not exist before
    folder = Path(tempfile.mkdtemp(prefix="trio-test-"))
    (port,) = free_ports(1)
    environment = bare_environment(**GOOD, TRIO_RUN_DIR=str(folder / "run"), WEB_PORT=str(port))
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=environment, cwd=CHECKOUT)
    until("it answers", lambda: health(port))
    assert health(port) == {
        "database": True,
        "redis": True,
        "worker": False,
        "last_heartbeat": None,
        "degraded": [],
        "unprotected": [],
        "uncovered": [],
        "notices": [],
        "problems": ["No runworker is alive: nobody watches what is open."],
        "ok": False,
    }
    web = json.loads((folder / "run" / "pids" / "web.json").read_text())["pid"]
    assert alive(web)

    # When the parent is killed outright, then the web and its servers go, too
    parent.kill()
    parent.wait()
    until("the web is gone", lambda: not alive(web) and not listening(port))
    until("the servers are gone", lambda: not (folder / "run" / "keeper.pid").exists())
    shutil.rmtree(folder)


def test_the_simulator_gets_no_key_of_ours(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = bare_environment(**GOOD, TRIO_RUN_DIR=str(tmp_path / "run"), BINANCE_PAPER_REST_URL=url)
    process = subprocess.Popen(
        [sys.executable, "-m", "local_servers.serve", "simulator"], env=environment, cwd=CHECKOUT
    )
    try:
        until("it answers", lambda: listening(port))
        seen = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"PATH=" in seen
        assert b"SECRET_KEY" not in seen
        assert b"MASTER_KEY" not in seen
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_no_simulator_is_started_for_a_paper_exchange_elsewhere() -> None:
    environment = bare_environment(**GOOD, BINANCE_PAPER_REST_URL="https://paper.example.com")

    done = run("-m", "local_servers.serve", "simulator", environment=environment)

    assert done.returncode == serve.NOT_WANTED
    assert "paper.example.com" in done.stderr


def test_at_a_terminal_it_is_said_that_it_ends_with_the_shell() -> None:
    # Given a terminal, and a simulator that is not wanted here or one that starts: the sentence comes before it
    master, slave = pty.openpty()
    (port,) = free_ports(1)
    folder = Path(tempfile.mkdtemp(prefix="trio-test-"))
    url = f"http://127.0.0.1:{port}"
    environment = bare_environment(**GOOD, TRIO_RUN_DIR=str(folder / "run"), BINANCE_PAPER_REST_URL=url)
    process = subprocess.Popen(
        [sys.executable, "-m", "local_servers.serve", "simulator"],
        env=environment,
        cwd=CHECKOUT,
        stderr=slave,
    )
    try:
        said, _, _ = select.select([master], [], [], 30.0)
        assert said, "nothing was said"
        assert "ends with the shell" in os.read(master, 4096).decode()
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(master)
        os.close(slave)
        shutil.rmtree(folder)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    done = run("-m", "local_servers.serve", "cook", environment=bare_environment(**GOOD))

    assert done.returncode == 2
    assert all(name in done.stderr for name in serve.COMMANDS)


def test_a_wrong_setting_is_one_sentence_here_as_well() -> None:
    done = run("-m", "local_servers.serve", "web", environment=bare_environment(**{**GOOD, "SECRET_KEY": ""}))

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_supervisor_starts_everything_through_here_and_restarts_what_dies() -> None:
    conf = configparser.RawConfigParser()
    conf.read(CHECKOUT / "supervisord.conf")
    programs = {
        name.removeprefix("program:"): conf[name] for name in conf.sections() if name.startswith("program:")
    }

    assert set(programs) == set(serve.COMMANDS) - {"supervisord"}
    for name, program in programs.items():
        assert f"-m local_servers.serve {name}" in program["command"]
        wanted = ("unexpected", str(serve.NOT_WANTED)) if name == "simulator" else ("true", None)
        assert (program["autorestart"], program.get("exitcodes")) == wanted
    assert {name: programs[name].get("numprocs", "1") for name in programs} == {
        "simulator": "1",
        "runworker": "2",
        "rqworker": "2",
        "web": "1",
    }
