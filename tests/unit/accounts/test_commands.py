"""The commands as a script sees them: standard output, standard error, exit code."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import Credential, ExchangeAccount
from tests.unit.accounts.conftest import KEY, SECRET
from tests.unit.accounts.venue import Venue

pytestmark = pytest.mark.django_db
Add = Callable[..., ExchangeAccount]


def run(*arguments: str) -> tuple[int, str, str]:
    """Run a command in process. Returns exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


ADD = ("add_account", "desk", "--environment", "TESTNET", "--api-key", KEY)


def test_add_account_keeps_the_scripts_contract(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    venue.customer(KEY, SECRET)
    venue.audits = False
    monkeypatch.setenv("ACCOUNT_SECRET", SECRET)

    code, out, err = run(*ADD, "--json")

    assert code == 0
    assert json.loads(out) == {
        "account": ExchangeAccount.objects.get().pk,
        "name": "desk",
        "environment": "TESTNET",
        "position_mode": "ONE_WAY",
        "permissions": "not available here",
    }
    assert err == ""


def test_the_secret_may_come_from_standard_input(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    venue.customer(KEY, SECRET)
    monkeypatch.delenv("ACCOUNT_SECRET", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    code, out, err = run(*ADD)
    assert (code, err) == (0, "")
    assert "“desk”, TESTNET, one-way mode, is added" in out
    assert SECRET not in out
    assert Credential.objects.get().api_secret.decrypt() == SECRET


@pytest.mark.parametrize(
    ("secret", "arguments", "words"),
    [
        ("", ADD, "ACCOUNT_SECRET"),
        ("wrong", ADD, "secret does not belong"),
        (SECRET, ("add_account", "desk", "--environment", "MOON", "--api-key", KEY), "choose one of"),
        (SECRET, ("add_account", " ", "--environment", "TESTNET", "--api-key", KEY), "needs a name"),
        (SECRET, ("add_account", "desk", "--environment", "TESTNET", "--api-key", ""), "API key is missing"),
        (SECRET, (*ADD, "--balance", "much"), "is not a valid balance"),
        (SECRET, (*ADD, "--position-mode", "SIDEWAYS"), "ONE_WAY or HEDGE"),
        (SECRET, (*ADD, "--balance", "5"), "for PAPER only"),
    ],
)
def test_a_refusal_is_one_json_document_and_exit_code_2(
    venue: Venue, monkeypatch: pytest.MonkeyPatch, secret: str, arguments: tuple[str, ...], words: str
) -> None:
    venue.customer(KEY, SECRET)
    monkeypatch.setenv("ACCOUNT_SECRET", secret)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    code, out, err = run(*arguments, "--json")
    assert code == 2
    assert list(json.loads(out)) == ["error"]
    assert words in json.loads(out)["error"]

    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert not ExchangeAccount.objects.exists()


def test_check_accounts_says_one_line_for_each(add: Add, venue: Venue, settings: Any) -> None:
    # Given a good account, one whose key is gone, and one whose stored key no longer decrypts
    add()
    add(name="expired", api_key="expired-key", api_secret="expired-secret")
    del venue.customers["expired-key"]

    code, out, _ = run("check_accounts")
    assert code == 2
    good, bad = out.splitlines()
    assert good.startswith("desk: connected. Permissions: reading, futures, no withdrawals")
    assert bad.startswith("expired: The exchange refused the API key (-2015)")

    settings.FERNET_KEYS = ["another-master-key-of-more-than-32-characters"]
    code, _, _ = run("check_accounts", "--account", "desk", "--json")
    assert code == 0, "a client made before the key was lost goes on"
    from accounts import gateways

    gateways.forget(ExchangeAccount.objects.get(name="desk").pk)
    code, out, _ = run("check_accounts", "--account", "desk", "--json")
    assert code == 2
    (entry,) = json.loads(out)["accounts"]
    assert "CREDENTIALS_MASTER_KEY" in entry["problems"][0]


def test_check_accounts_without_accounts_and_with_an_unknown_one() -> None:
    assert run("check_accounts")[:2] == (
        0,
        "There are no accounts yet: add one with “manage.py add_account”.\n",
    )
    assert run("check_accounts", "--account", "nobody") == (2, "", "There is no account named “nobody”.\n")


def test_rotate_credentials_can_be_repeated(add: Add, settings: Any) -> None:
    add()
    settings.FERNET_KEYS = ["another-master-key-of-more-than-32-characters", *settings.FERNET_KEYS]
    assert json.loads(run("rotate_credentials", "--json")[1]) == {
        "rotated": 1,
        "already": 0,
        "unreadable": [],
    }
    assert run("rotate_credentials")[1] == "0 re-encrypted, 1 already under the first key.\n"
    settings.FERNET_KEYS = ["a-third-master-key-nobody-ever-used-before"]
    code, out, _ = run("rotate_credentials")
    assert code == 2
    assert "cannot be decrypted with any configured key (desk)" in out
