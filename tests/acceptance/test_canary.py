"""One secret, typed into the form, and then looked for everywhere: it lies nowhere but in its ciphertext's row."""

from __future__ import annotations

import base64
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.urls import reverse

from accounts.models import Credential, ExchangeAccount
from infrastructure import job_queue
from local_servers import manager
from notices.deriving import SOURCES
from notices.models import Delivery, DestinationUrl, Progress
from orders import services
from orders.domain.operator_questions import Question, QuestionKind
from orders.story import question_put
from tests.acceptance.conftest import Stack, watched
from tests.acceptance.test_real_processes import Manned, draft, queue, reaches
from tests.builders import until
from tests.unit.orders.admin.every_page import signed_in

# Put together here, so that no file of ours holds them.
KEY, SECRET, TOKEN = (f"{word}-{'of-the-canary'}-{8642097531}" for word in ("key", "secret", "token"))
NOWHERE = "hooks.invalid"  # a name that is kept for leading nowhere
IN_CLEAR_THERE = (
    "secrets.json"  # the exchange's side of the play: it checks signatures, so it holds what signs
)


def forms_of(secret: str) -> list[bytes]:
    """Return how it might be written: as it is, in hex, and in base64."""
    raw = secret.encode()
    return [raw, raw.hex().encode(), base64.b64encode(raw)[:-4], raw[::-1]]


def shows(where: bytes, *, key: bool = True) -> list[str]:
    """Return which of the three stands there in clear."""
    wanted = [KEY, SECRET, TOKEN] if key else [SECRET, TOKEN]
    return [secret for secret in wanted if any(form in where for form in forms_of(secret))]


def test_a_secret_lies_nowhere_but_in_the_row_of_its_ciphertext(
    manned: Manned,
) -> None:
    # Given an account entered by its form, a trio on it that is open, one that waits, and a job in each registry
    stack, _ = manned
    boss = signed_in(User.objects.create_superuser("boss"))
    typed = {"name": "canary", "environment": "PAPER", "api_key": KEY, "new_secret": SECRET}
    assert boss.post(reverse("admin:accounts_exchangeaccount_add"), typed).status_code == 302
    account = ExchangeAccount.objects.get(name="canary")
    for name in ("test", "read_settings"):
        boss.post(
            reverse(f"admin:accounts_exchangeaccount_{name}", args=[account.pk]), {"_form_submitted": "True"}
        )
    until(lambda: watched(account), seconds=30, why=stack.logs)
    trio = queue(draft(account))
    reaches(trio, "OPEN")
    services.trio_refresh(trio_id=trio.pk, by="boss")
    assert Credential.objects.get(account=account).api_secret.decrypt() == SECRET

    # And somebody who is told at a URL of theirs, entered by its form: the worker has tried it
    url = f"jsons://{NOWHERE}/{TOKEN}"
    boss.post(reverse("admin:notices_destination_add"), {"name": "canary-hook", "secret_url": url})
    until(lambda: Progress.objects.count() == len(SOURCES), seconds=30, why=stack.logs)
    question_put(trio.pk, Question(QuestionKind.OTHER, {"text": "Is this as you want it?"}))
    until(lambda: Delivery.objects.filter(failure="UNREACHED").exists(), seconds=60, why=stack.logs)
    assert DestinationUrl.objects.get().url.decrypt() == url

    # Then it is in no environment
    for pid in processes(stack):
        assert not shows(environment_of(pid)), f"the environment of {command_of(pid)}"
    for pid in [*servers(), stack.processes["simulator"].pid]:
        assert not any(key.encode() in environment_of(pid) for key in settings.FERNET_KEYS), command_of(pid)

    # And in no table, log, job or file
    assert not shows(dump()), "the database"
    assert not shows(queues()), "the queues"
    assert not shows(stack.logs().encode()), "the logs"
    searched = 0
    for path in [*files(stack.folder), *files(manager.run_dir())]:
        ours = stack.folder not in path.parents
        if path.name == IN_CLEAR_THERE:
            assert path.stat().st_mode & 0o077 == 0, f"{path} is for its owner alone"
            continue
        found = contents(path)
        searched += len(found)
        assert not shows(found, key=ours), path
    assert searched > 100_000


def processes(stack: Stack) -> Iterator[int]:
    """Return the ids of everything that was started, with its children."""
    waiting = [process.pid for process in stack.processes.values()] + servers()
    while waiting:
        pid = waiting.pop()
        yield pid
        with suppress(OSError):  # it may end while we look
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += [int(child) for child in task.read_text().split()]


def servers() -> list[int]:
    run = manager.run_dir()
    return [int((run / f"{name}.pid").read_text()) for name in ("keeper", "postgres", "valkey")]


def environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # one of PostgreSQL's own that is gone by now


def command_of(pid: int) -> str:
    return contents(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace")


def dump() -> bytes:
    """Return the database as text: every table, every column, as one would send it to somebody."""
    where = connection.settings_dict
    command = [str(manager._postgres_binaries() / "pg_dump"), "-h", str(where["HOST"]), "-U", manager.ROLE]
    done = subprocess.run([*command, str(where["NAME"])], check=True, capture_output=True)
    assert b"canary" in done.stdout
    assert b"accounts_credential" in done.stdout
    assert NOWHERE.encode() not in done.stdout
    return done.stdout


def queues() -> bytes:
    """Return all that is in Valkey, with what RQ packs unpacked."""
    found = []
    redis: Any = job_queue.connection()
    for key in redis.scan_iter("*"):
        match redis.type(key):
            case b"hash":
                found += [part for pair in redis.hgetall(key).items() for part in pair]
            case b"list":
                found += redis.lrange(key, 0, -1)
            case b"zset":
                found += redis.zrange(key, 0, -1)
            case b"set":
                found += list(redis.smembers(key))
            case b"stream":
                found.append(repr(redis.xrange(key)).encode())
            case _:
                found.append(redis.get(key) or b"")
        found.append(key)
    return b"\n".join(part + b" " + unpacked(part) for part in found)


def unpacked(text: bytes) -> bytes:
    try:
        return zlib.decompress(text)
    except zlib.error:
        return b""


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # a file that PostgreSQL has done with
