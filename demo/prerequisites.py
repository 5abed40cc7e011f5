"""What a smoke order needs, made where it is missing: schema, simulator, symbols, account."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from accounts.error_messages import unreachable
from accounts.errors import AccountExists, AccountsError, InvalidAccount
from accounts.gateways import public_exchange
from accounts.models import Environment, ExchangeAccount, key_fingerprint, key_hash
from accounts.services import account_add, account_replace_credentials, paper_account_ensure
from exchange.errors import ExchangeError, ExchangeUnavailable
from local_servers import manager, serve
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Symbol

Say = Callable[[str], None]

PAPER_ACCOUNT: Final = "smoke"
TESTNET_ACCOUNT: Final = "smoke-testnet"
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
SYMBOLS_FRESH: Final = timedelta(days=1)


@contextlib.contextmanager
def only_one(name: str) -> Iterator[bool]:
    """Hold a lock of this checkout; yields whether it was free. The kernel releases it however the holder dies."""
    folder = manager.run_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def schema_ensure(say: Say) -> None:
    """Bring the schema up to date. Raises AccountsError where that is for a person to do."""
    if not _unapplied():
        return
    if not settings.EMBEDDED_DATABASE and MigrationRecorder(connection).applied_migrations():
        raise AccountsError("The database is not up to date: run “manage.py migrate”, then try again.")
    say("The database is empty or not up to date: migrating it.")
    deadline = time.monotonic() + START_SECONDS
    while True:
        with only_one("migrate") as ours:
            if ours:
                if _unapplied():
                    call_command("migrate", verbosity=0, interactive=False, stdout=sys.stderr)
                return
        if time.monotonic() > deadline:
            raise AccountsError(
                f"Another process is still migrating the database after {START_SECONDS:.0f} s: look at it."
            )
        time.sleep(0.2)


def _unapplied() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def symbols_ensure(environment: str, symbol: str, say: Say) -> None:
    """Sync the symbols when this one is unknown, or was synced too long ago. Raises AccountsError."""
    known = Symbol.objects.filter(environment=environment, symbol=symbol.strip().upper())
    if not known.filter(synced_at__gt=timezone.now() - SYMBOLS_FRESH).exists():
        say(symbols_sync(environment).sentence)


# --- accounts ---------------------------------------------------------------------------------


def smoke_environment() -> Environment:
    """TESTNET when BINANCE_TESTNET says so, else PAPER."""
    return Environment.TESTNET if settings.BINANCE_TESTNET else Environment.PAPER


def smoke_account_ensure(environment: Environment) -> ExchangeAccount:
    """Return the account for smoke orders, made when missing. Raises AccountsError."""
    if environment is Environment.PAPER:
        return paper_account_ensure(name=PAPER_ACCOUNT)
    return _testnet_account_ensure(settings.BINANCE_TESTNET_API, settings.BINANCE_TESTNET_SECRET)


def _testnet_account_ensure(api_key: str, api_secret: str) -> ExchangeAccount:
    missing = [
        name
        for name, value in (("BINANCE_TESTNET_API", api_key), ("BINANCE_TESTNET_SECRET", api_secret))
        if not value
    ]
    if missing:
        raise InvalidAccount(
            f"BINANCE_TESTNET is true, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing:"
            " set the key and secret of your testnet account, or BINANCE_TESTNET=false for PAPER."
        )
    testnet = Environment.TESTNET
    account = ExchangeAccount.objects.filter(key_hash=key_hash(testnet, api_key)).first()
    if account is None:
        account = ExchangeAccount.objects.filter(environment=testnet, name=TESTNET_ACCOUNT).first()
    if account is not None:
        with contextlib.suppress(AccountExists):  # the key is now of another exchange account
            return account_replace_credentials(account=account, api_key=api_key, api_secret=api_secret)
    taken = ExchangeAccount.objects.filter(name=TESTNET_ACCOUNT).exists()
    name = f"{TESTNET_ACCOUNT}-{key_fingerprint(api_key)}" if taken else TESTNET_ACCOUNT
    return account_add(name=name, environment=testnet, api_key=api_key, api_secret=api_secret)


# --- the simulator ----------------------------------------------------------------------------


@contextlib.contextmanager
def simulator_running(environment: Environment, say: Say) -> Iterator[None]:
    """On PAPER, make sure that a simulator answers: the one there is, or one of our own for as long as needed.

    Raises AccountsError when none answers and none can be started.
    """
    if environment is not Environment.PAPER or _answers():
        yield
        return
    try:
        command = [*serve.simulator(), "--die-with-parent"]
    except serve.NotWantedHere:
        raise unreachable(environment) from None
    log = manager.run_dir() / "logs" / "smoke-simulator.log"
    process = _start(command, log)
    try:
        say("No simulator answers: starting one for as long as this takes.")
        _wait_until_it_answers(process, log)
        yield
    finally:
        _stop(process)


def _answers() -> bool:
    """Does anything answer on PAPER? Only a refused connection means that nothing is there."""
    try:
        public_exchange(Environment.PAPER).server_time()
    except ExchangeUnavailable as error:
        return bool(error.status)
    except ExchangeError:
        return True
    return True


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command,
            cwd=manager.CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=manager.bare_environment(),
            start_new_session=True,  # Ctrl-C reaches us alone: what we placed is withdrawn while it still runs
        )


def _wait_until_it_answers(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers():
        # Ours ended: another one may have taken the port meanwhile, and is about to answer.
        if process.poll() is not None and time.monotonic() > deadline - START_SECONDS + 2:
            last_line = (log.read_text(errors="replace").strip().splitlines() or ["its log is empty"])[-1]
            raise AccountsError(f"The simulator could not be started: {last_line}")
        if time.monotonic() > deadline:
            raise unreachable(Environment.PAPER)
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
