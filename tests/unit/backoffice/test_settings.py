"""A wrong setting ends in one sentence that says what to do; importing settings starts nothing."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from local_servers.manager import CHECKOUT
from tests.unit.processes import bare_environment, run

KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
GOOD = {"DEBUG": "true", "SECRET_KEY": KEY, "CREDENTIALS_MASTER_KEY": KEY}
PRODUCTION = {
    **GOOD,
    "DEBUG": "false",
    "DATABASE_URL": "postgresql://u:p@db.invalid:5432/trio",
    "REDIS_URL": "redis://cache.invalid:6379/0",
}
ABOUT_ENV_ONLY = {"ENV_FILE", "TRIO_RUN_DIR", "WEB_CONCURRENCY"}

BAD: list[tuple[str, dict[str, str], str]] = [
    ("no secret key", {**GOOD, "SECRET_KEY": ""}, "SECRET_KEY is missing"),
    ("a short secret key", {**GOOD, "SECRET_KEY": "short"}, "SECRET_KEY is too short (5 characters)"),
    ("no master key", {**GOOD, "CREDENTIALS_MASTER_KEY": ""}, "CREDENTIALS_MASTER_KEY is missing"),
    (
        "only commas for a master key",
        {**GOOD, "CREDENTIALS_MASTER_KEY": " , ,"},
        "CREDENTIALS_MASTER_KEY is missing",
    ),
    (
        "a short second master key",
        {**GOOD, "CREDENTIALS_MASTER_KEY": f"{KEY}, abc"},
        "Key 2 of CREDENTIALS_MASTER_KEY",
    ),
    ("a silly master key", {**GOOD, "CREDENTIALS_MASTER_KEY": "a" * 40}, "too easy to guess"),
    ("production without a database", {**PRODUCTION, "DATABASE_URL": ""}, "DATABASE_URL is missing"),
    ("production without Redis", {**PRODUCTION, "REDIS_URL": ""}, "REDIS_URL is missing"),
    ("another database", {**GOOD, "DATABASE_URL": "sqlite:///x.db"}, "only PostgreSQL is supported"),
    ("a database without a name", {**GOOD, "DATABASE_URL": "postgresql://u@h"}, "names no database"),
    ("another dsn", {**GOOD, "POSTGRES_DSN": "mysql://u@h/n"}, "POSTGRES_DSN does not name a PostgreSQL"),
    ("another queue", {**GOOD, "REDIS_URL": "amqp://h"}, "REDIS_URL does not name a Redis"),
    ("a wide recvWindow", {**GOOD, "RECV_WINDOW_MS": "60001"}, "RECV_WINDOW_MS is 60001"),
    ("a number that is none", {**GOOD, "NAKED_LIMIT_MS": "soon"}, "NAKED_LIMIT_MS is 'soon'"),
    ("a fraction", {**GOOD, "SWEEP_SECONDS": "1.5"}, "SWEEP_SECONDS is '1.5'"),
    ("a negative number", {**GOOD, "TAKEOVER_MS": "-1"}, "TAKEOVER_MS is -1"),
    (
        "a flag that is none",
        {**GOOD, "DRY_RUN_MODE": "perhaps"},
        "DRY_RUN_MODE is 'perhaps': write true or false.",
    ),
    ("a timeframe that is none", {**GOOD, "TIMEFRAME": "7m"}, "TIMEFRAME is '7m'"),
    (
        "an address that is none",
        {**GOOD, "BINANCE_PAPER_REST_URL": "localhost"},
        "BINANCE_PAPER_REST_URL is 'localhost'",
    ),
    (
        "a stream that is no stream",
        {**GOOD, "BINANCE_LIVE_STREAM_URL": "https://x"},
        "BINANCE_LIVE_STREAM_URL",
    ),
    (
        "a proxy that is none",
        {**GOOD, "TRUSTED_PROXIES": "127.0.0.1, proxy"},
        "TRUSTED_PROXIES holds 'proxy'",
    ),
    ("real money while developing", {**GOOD, "ALLOW_LIVE": "true"}, "ALLOW_LIVE and DEBUG are both true"),
    (
        "real money over plain HTTP",
        {**GOOD, "BINANCE_LIVE_REST_URL": "http://fapi.binance.com"},
        "BINANCE_LIVE_REST_URL is 'http://fapi.binance.com': keys and orders for real money travel encrypted only",
    ),
    (
        "a stream for real money in clear",
        {**GOOD, "BINANCE_LIVE_STREAM_URL": "ws://x.example"},
        "encrypted only",
    ),
    ("symbols that are none", {**GOOD, "WORKER_SYMBOLS": "BTC/USDT"}, "WORKER_SYMBOLS holds 'BTC/USDT'"),
]


# Load the settings once with each of these environments; print what they complain of.
LOAD_EACH = """
import json, os, runpy, sys
from django.core.exceptions import ImproperlyConfigured

bare, complaints = dict(os.environ), []
for given in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update(bare | given)
    try:
        runpy.run_module("backoffice.settings")
    except ImproperlyConfigured as error:
        complaints.append(str(error))
    else:
        complaints.append("")
print(json.dumps(complaints))
"""


@cache
def complaints() -> dict[str, str]:
    """Return by story what the settings complain of; one process, for starting Django costs most of a second."""
    loads = json.dumps([given for _, given, _ in BAD])
    done = run("-c", LOAD_EACH, loads, environment=bare_environment())
    assert done.returncode == 0, done.stderr
    return dict(zip((story for story, _, _ in BAD), json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(
    ("story", "sentence"),
    [(story, sentence) for story, _, sentence in BAD],
    ids=[story for story, _, _ in BAD],
)
def test_a_wrong_setting_is_one_sentence(story: str, sentence: str) -> None:
    assert sentence in complaints()[story]
    assert len(complaints()[story].splitlines()) == 1


def test_a_wrong_setting_ends_any_command() -> None:
    # Given a setting that cannot work, when any command is run
    story, given, _ = BAD[0]
    done = run("manage.py", "check", environment=bare_environment(**given))

    # Then it ends with exit code 2 and nothing but that sentence on standard error
    assert done.returncode == 2
    assert done.stderr == complaints()[story] + "\n"
    assert done.stdout == ""


def test_a_file_of_settings_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    for content in (b"\x89PNG\r\n\xff\xfe", b"DEBUG=true\0"):
        (tmp_path / "env").write_bytes(content)
        done = run(
            "manage.py", "check", environment=bare_environment(**GOOD) | {"ENV_FILE": str(tmp_path / "env")}
        )
        assert done.returncode == 2
        assert "is not a text file" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("runworker", "--once"), ("rotate_credentials",), ("migrate",)])
def test_a_database_that_is_down_is_one_sentence(command: tuple[str, ...]) -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}

    done = run("manage.py", *command, environment=bare_environment(**GOOD, **nowhere))

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "The database (PostgreSQL) does not answer: " in done.stderr


def test_a_run_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "users.lock").mkdir(parents=True)  # also for root, whom rights do not stop

    done = run("manage.py", "migrate", environment=bare_environment(**GOOD, TRIO_RUN_DIR=str(folder)))

    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_web_refuses_to_load_with_the_same_sentence() -> None:
    done = run(
        "-c", "import backoffice.wsgi", environment=bare_environment(**{**PRODUCTION, "DATABASE_URL": ""})
    )

    assert done.returncode == 4  # what makes gunicorn stop rather than try again
    assert done.stderr.startswith("DATABASE_URL is missing")
    assert "Traceback" not in done.stderr


def test_the_web_refuses_to_load_without_its_static_files(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from backoffice import settings; settings.STATIC_ROOT = Path({str(tmp_path)!r}); import backoffice.wsgi"

    done = run("-c", code, environment=bare_environment(**PRODUCTION))

    assert done.returncode == 4
    assert "collectstatic" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_secret_is_repeated_in_a_complaint() -> None:
    secret = "postgres//user:hunter2hunter2@host/name"
    done = run("manage.py", "check", environment=bare_environment(**GOOD, DATABASE_URL=secret))

    assert done.returncode == 2
    assert "hunter2" not in done.stderr


def settings_value(expression: str, **given: str) -> str:
    code = f"from backoffice import settings as s; print(({expression}))"
    done = run("-c", code, environment=bare_environment(**given))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_several_master_keys_are_read_without_their_blanks() -> None:
    other = KEY[::-1]

    assert settings_value(
        "s.FERNET_KEYS", **{**GOOD, "CREDENTIALS_MASTER_KEY": f" {KEY} ,, {other} "}
    ) == str([KEY, other])


def test_a_key_may_begin_with_a_dollar_sign() -> None:
    assert settings_value("s.SECRET_KEY", **{**GOOD, "SECRET_KEY": f"${KEY}"}) == f"${KEY}"


def test_an_empty_line_keeps_the_safe_default() -> None:
    assert (
        settings_value("s.DRY_RUN_MODE, s.ALLOW_LIVE", **GOOD, DRY_RUN_MODE="", ALLOW_LIVE="")
        == "(True, False)"
    )


@pytest.mark.parametrize("said", [{}, {"STRATEGIES": ""}, {"STRATEGIES": " , "}])
def test_where_no_strategy_is_named_the_examples_are_there(said: dict[str, str]) -> None:
    # As in a fresh .env, whose line is empty
    assert settings_value("sorted(s.STRATEGIES)", **GOOD, **said) == str(
        ["breakout", "crossover", "reversion", "template"]
    )


def test_debug_is_off_unless_asked_for() -> None:
    assert settings_value("s.DEBUG", **{**PRODUCTION, "DEBUG": ""}) == "False"


@pytest.mark.parametrize(
    ("url", "host", "name"),
    [
        ("postgresql://u:p@db.example:5433/desk", "db.example", "desk"),
        ("postgresql://postgres@//run/some/folder/desk", "/run/some/folder", "desk"),
        ("postgresql://postgres@/desk?host=/run/some/folder", "/run/some/folder", "desk"),
        ("postgresql://postgres@%2Frun%2Fsome%2Ffolder/desk", "/run/some/folder", "desk"),
    ],
)
def test_every_usual_way_to_name_a_postgresql_is_understood(url: str, host: str, name: str) -> None:
    expression = (
        "s.DATABASES['default']['HOST'], s.DATABASES['default']['NAME'], s.DATABASES['default']['ENGINE']"
    )

    found = settings_value(expression, **GOOD, DATABASE_URL=url)

    assert found == str((host, name, "django.db.backends.postgresql"))


def test_the_dsn_stands_in_for_a_missing_url() -> None:
    found = settings_value("s.DATABASES['default']['NAME']", **GOOD, POSTGRES_DSN="postgresql://u@h/desk")

    assert found == "desk"


def test_the_local_servers_are_only_named_and_never_started_by_a_check(tmp_path: Path) -> None:
    # Given a run folder that does not exist, when settings are loaded and checked
    run_folder = tmp_path / "run"
    done = run("manage.py", "check", environment=bare_environment(**GOOD, TRIO_RUN_DIR=str(run_folder)))

    # Then all is well and nothing was made there
    assert done.returncode == 0, done.stderr
    assert not run_folder.exists()


def names_read_by_settings() -> set[str]:
    text = (CHECKOUT / "backoffice" / "settings.py").read_text() + (
        CHECKOUT / "backoffice" / "env.py"
    ).read_text()
    found = set(
        re.findall(r"(?:_env|self)\.(?:text|texts|flag|name|number|symbols|networks)\(\s*\"([A-Z_]+)\"", text)
    )
    found |= {"DATABASE_URL", "POSTGRES_DSN"}
    return found | {
        f"BINANCE_{environment}_{what}_URL"
        for environment in ("LIVE", "TESTNET", "PAPER")
        for what in ("REST", "STREAM", "SAPI")
    }


def test_every_setting_is_documented_and_in_the_example() -> None:
    # Given the names that the settings read
    names = names_read_by_settings()
    assert len(names) > 30, "the search for names has gone blind"

    # Then the reference page has a row for each and for no other, and .env.example a line for each and for no other
    page = (CHECKOUT / "docs" / "reference" / "settings.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE)) - ABOUT_ENV_ONLY == names
    example = (CHECKOUT / ".env.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == names


def test_the_documented_defaults_are_those_of_the_example() -> None:
    page = dict(
        re.findall(
            r"^\| `([A-Z_]+)` \| `([^`]+)` \|",
            (CHECKOUT / "docs/reference/settings.md").read_text(),
            re.MULTILINE,
        )
    )
    example = dict(re.findall(r"^([A-Z_]+)=(.+)$", (CHECKOUT / ".env.example").read_text(), re.MULTILINE))

    differing = {name for name in page.keys() & example.keys() if page[name] != example[name]}

    assert differing == {"DEBUG"}  # the example is a developer's; the default is for production
