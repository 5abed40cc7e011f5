"""``runworker --once``: one pass over every account, and the truth about which of them could not be read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from accounts.models import Credential, Environment, ExchangeAccount, key_hash
from exchange.types import Endpoints
from orders.models import Watch

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _signals_stay(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("worker.management.commands.runworker.signal.signal", lambda *args: None)
    yield
    gc.collect()  # the connections of threads that have ended


@pytest.fixture
def desk(settings: Any) -> ExchangeAccount:
    """An account of an exchange that is not there."""
    settings.BINANCE_URLS = settings.BINANCE_URLS | {"PAPER": Endpoints(NOWHERE, "ws://127.0.0.1:9", NOWHERE)}
    account = ExchangeAccount.objects.create(
        name="desk",
        environment=Environment.PAPER,
        position_mode="ONE_WAY",
        key_hash=key_hash("PAPER", "desk-key"),
    )
    Credential.objects.create(account=account, api_key="desk-key", api_secret="desk-secret")
    return account


def refusal() -> CommandError:
    with pytest.raises(CommandError) as refused:
        call_command("runworker", "--once")
    return refused.value


def test_an_account_whose_exchange_does_not_answer_was_not_read(desk: ExchangeAccount) -> None:
    error = refusal()

    assert error.returncode == 1
    assert str(error).startswith("Not read: “desk”: ")


def test_an_account_whose_key_cannot_be_decrypted_was_not_read(desk: ExchangeAccount, settings: Any) -> None:
    settings.FERNET_KEYS = ["another-master-key-of-more-than-32-characters"]

    error = refusal()

    assert error.returncode == 1
    assert "“desk”" in str(error)
    assert "CREDENTIALS_MASTER_KEY" in str(error)
    # And so again at once, while its pause lasts
    assert "CREDENTIALS_MASTER_KEY" in str(refusal())


def test_what_another_live_worker_holds_and_has_swept_is_read(
    desk: ExchangeAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    later = timezone.now() + timedelta(minutes=1)  # its beat stays fresh
    Watch.objects.create(
        account=desk, incarnation="other", holder="another", beat=later, swept_at=timezone.now()
    )

    call_command("runworker", "--once")

    assert "One complete pass is done." in capsys.readouterr().err


def test_without_accounts_a_pass_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("runworker", "--once")

    assert "One complete pass is done." in capsys.readouterr().err
