"""Every command meets nonsense in every argument: one sentence and exit code 2, never a traceback, and nothing is sent."""

from __future__ import annotations

import io
import sys
from argparse import Action
from contextlib import redirect_stderr, redirect_stdout
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from accounts.cli import SENTENCE_MAX, ScriptCommand, shown
from orders.models import TrioOrder
from tests.builders import Desk
from tests.unit.orders.cli.test_commands import Ran, manage

NONSENSE = [
    "", "--", "9" * 400, "NaN", "13,75", "1_000", "ünï ☃ \u202e12", "a\nb", "9999-12-31T23:59:59-23:59", "0001-01-01", "x" * 5000, "\udcff",
]  # fmt: skip

# What makes sense in an argument that must be there, while another one does not.
SENSE = {
    "account": "desk", "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01", "qty": "0.01", "stop_loss": "95000", "take_profit": "110000",
    "stop": "105000", "target": "90000", "level": "96000", "bound": "99500", "targets": "105000:50", "name": "desk2", "environment": "PAPER",
    "api_key": "key", "user": "nobody", "strategy": "breakout",
}  # fmt: skip
DJANGOS = {"help", "version", "verbosity", "settings", "pythonpath"}
ON_A_RESTING_ENTRY = {"chase", "change_entry"}
EXIT_CODES = {0, 2, 3, 4, 5}  # more than 0 and 2 with --wait alone


def command_named(name: str) -> Any:
    app = get_commands()[name]
    return load_command_class(app, name) if isinstance(app, str) else app


def scripted() -> list[str]:
    """Return the commands that scripts drive."""
    ours = [name for name, app in get_commands().items() if not str(app).startswith("django")]
    return sorted(name for name in ours if isinstance(command_named(name), ScriptCommand))


def arguments(name: str) -> list[Action]:
    """Return what a command takes a value for."""
    actions: list[Action] = command_named(name).create_parser("manage.py", name)._actions
    return [action for action in actions if action.nargs != 0 and action.dest not in DJANGOS]


def run(name: str, words: list[str]) -> Ran:
    """Run a command in process as ``manage.py`` does."""
    out, err = io.StringIO(), io.StringIO()
    command, before = command_named(name), sys.argv
    command.stdout._out, command.stderr._out = out, err
    sys.argv = ["manage.py", name, *words]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            command.run_from_argv(sys.argv)
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.argv = before
    return Ran(int(str(code)), out.getvalue(), err.getvalue())


def words_with(name: str, action: Action, value: str, trio: int) -> list[str]:
    """Return a command's words: what must be there makes sense, and this one argument is nonsense."""
    options, places = ["--yes"] if name == "panic" else [], []
    for other in arguments(name):
        said = value if other.dest == action.dest else SENSE.get(other.dest, str(trio))
        if other.option_strings and (other.required or other.dest == action.dest):
            options.append(f"{other.option_strings[-1]}={said}")
        elif not other.option_strings and (other.required or other.dest == action.dest):
            places.append(said)
    return [*options, *(["--", *places] if places else [])]


def sentence_of(ran: Ran, *, as_json: bool) -> str:
    if not as_json:
        assert ran.out == ""
        return ran.err.strip().splitlines()[-1]
    assert list(ran.document) == ["error"]
    return str(ran.document["error"])


def changed(desk: Desk) -> list[Any]:
    return [
        e
        for e in desk.simulator.log
        if e.method != "GET" and e.path.startswith("/fapi/") and e.path.endswith("rder")
    ]


@pytest.mark.parametrize("name", [name for name in scripted() if name != "smoke_order"])
def test_nonsense_is_refused_in_a_sentence(desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNT_SECRET", "secret")
    trio = desk.placed(desk.a_trio())
    if name in ON_A_RESTING_ENTRY:
        desk.simulator.set_price("ETHUSDT", "4000")
        terms: dict[str, Any] = {"quantity": D("0.1"), "stop_loss": D("3600"), "take_profit": D("4500")}
        trio = desk.placed(desk.a_trio("ETHUSDT", entry_type="LIMIT", price=D("3900"), **terms))
    for action in arguments(name):
        for number, value in enumerate(NONSENSE):
            as_json = bool(number % 2)
            words = words_with(name, action, value, trio.pk)
            said = f"{name} {action.dest}={value[:40]!r}"
            changing = changed(desk)

            ran = run(name, ["--json", *words] if as_json else words)

            assert ran.code in EXIT_CODES, (said, ran)
            assert "Traceback" not in ran.err, said
            assert changed(desk) == changing, said
            if ran.code == 2:
                sentence = sentence_of(ran, as_json=as_json)
                assert sentence.endswith((".", "…")), (said, sentence)
                assert len(sentence) <= SENTENCE_MAX + 1, said
                assert sentence.isprintable(), (said, sentence)
    assert TrioOrder.objects.exclude(state="DRAFT").count() <= 2, "nothing was placed"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show_trio", "1_000"), "“1_000” is not a valid trio number"),
        (("close_trio", "١٢"), "is not a valid trio number"),
        (("close_part", "ID", "--quantity", "13,75"), "Write 13.75 if that is meant."),
        (("close_part", "ID", "--quantity", "1,234.5"), "“1,234.5” is not a valid quantity"),
        (("break_even", "ID", "--offset", "1000001"), "from -1000000 to 1000000"),
        (
            ("change_entry", "ID", "--good-till", "9999-12-31T23:59:59-23:59"),
            "more than a hundred years ahead",
        ),
        (("list_trios", "--until", "9999-12-31"), "write a time in the years 1970 to 2999"),
        (("add", "ID", "--quantity=--"), "“--” is not a value"),
    ],
)
def test_a_slip_names_no_other_number(desk: Desk, words: tuple[str, ...], says: str) -> None:
    trio = desk.a_trio()
    name, *rest = [str(trio.pk) if word == "ID" else word for word in words]
    for as_json in (False, True):
        ran = run(name, ["--json", *rest] if as_json else rest)
        assert ran.code == 2
        assert says in sentence_of(ran, as_json=as_json)


def test_what_is_typed_is_shown_short_and_on_one_line() -> None:
    assert shown("“a\nb” is none.") == "“a b” is none."
    assert shown(f"“{'9' * 400}” is none.").startswith("“" + "9" * 59 + "…")
    assert shown(f"“{'9' * 400}” is none.").endswith("9” is none.")
    assert len(shown("x " * 5000)) == SENTENCE_MAX + 1


def test_bytes_that_are_no_text_end_no_process_in_a_traceback(transactional_db: None) -> None:
    shown_id = manage("show_trio", "\udcff", PYTHONIOENCODING="ascii")
    account = manage("list_trios", "--account", "\udcff", "--json", PYTHONIOENCODING="ascii")
    assert (shown_id.code, account.code) == (2, 2), (shown_id, account)
    assert "is not a valid trio number" in shown_id.err
    assert "not valid text" in account.document["error"]
    assert "Traceback" not in shown_id.err + account.err
