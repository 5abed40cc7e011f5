"""`make setup` writes .env once, for its owner only, with keys nobody else has."""

from __future__ import annotations

import stat
from pathlib import Path

from local_servers import write_env
from tests.unit.processes import bare_environment, run


def content(path: Path) -> dict[str, str]:
    pairs = (
        line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#")
    )
    return {name: value for name, _, value in pairs}


def test_a_fresh_file_is_private_and_good_enough_to_start_with(tmp_path: Path) -> None:
    # When the file is written
    path = tmp_path / ".env"
    assert write_env.main([str(path)]) == 0

    # Then only its owner may read it, ports agree, and every command accepts it
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = content(path)
    assert written["BINANCE_PAPER_REST_URL"].removeprefix("http") == written[
        "BINANCE_PAPER_STREAM_URL"
    ].removeprefix("ws")
    assert written["WEB_PORT"] != written["BINANCE_PAPER_REST_URL"].rpartition(":")[2]
    assert (written["DEBUG"], written["DRY_RUN_MODE"], written["ALLOW_LIVE"]) == ("true", "true", "false")
    environment = bare_environment() | {"ENV_FILE": str(path)}
    assert run("manage.py", "check", environment=environment).returncode == 0
    assert list(tmp_path.iterdir()) == [path]


def test_two_files_share_no_key(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_env.main([str(tmp_path / name)])

    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    keys = {
        one["SECRET_KEY"],
        two["SECRET_KEY"],
        one["CREDENTIALS_MASTER_KEY"],
        two["CREDENTIALS_MASTER_KEY"],
    }
    assert len(keys) == 4
    assert min(len(key) for key in keys) >= 60


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SECRET_KEY=mine\n")

    assert write_env.main([str(path)]) == 0

    assert path.read_text() == "SECRET_KEY=mine\n"
