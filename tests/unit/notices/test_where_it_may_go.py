"""A message reaches public addresses and no others: by address, by name, by redirect. All through the real process."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from exchange.secret import Secret
from notices.domain.failures import Failure, FailureKind
from notices.sender.process import Sender
from tests.unit.notices.receiver import Receiver

LOOPBACK = ("127.0.0.1",)


def sent(url: str, *also: str) -> Failure | None:
    return Sender().send(Secret(url), title="title", body="body", also=also)


def kind(failure: Failure | None) -> FailureKind | None:
    return failure.kind if failure else None


def test_a_private_address_is_reached_by_who_allows_it_alone() -> None:
    with Receiver("127.0.0.1") as receiver:
        assert kind(sent(receiver.url())) is FailureKind.URL_REFUSED
        assert kind(sent(f"jsons://127.0.0.1:{receiver.port}/x")) is FailureKind.URL_REFUSED
        assert receiver.messages == []

        assert sent(receiver.url(), *LOOPBACK) is None

    assert receiver.messages[0]["message"] == "body"


def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_connected_to() -> None:
    # Given names that look public, and lead to this machine
    with Receiver("127.0.0.1") as receiver:
        names = {"localhost.", socket.gethostname()}
        for name in names:
            # 127.0.0.2 is allowed, so that the plain webhook is; the name's own address is not
            failure = sent(receiver.url(host=name), "127.0.0.2")
            assert kind(failure) in (FailureKind.ADDRESS_REFUSED, FailureKind.UNREACHED), name
        assert kind(sent(receiver.url(host="localhost"), "127.0.0.2")) is FailureKind.ADDRESS_REFUSED
        assert kind(sent(f"jsons://localhost.:{receiver.port}/x")) is FailureKind.URL_REFUSED

    assert receiver.messages == []


def test_a_redirect_is_not_followed() -> None:
    with Receiver("127.0.0.1", status=307, location="/elsewhere") as receiver:
        failure = sent(receiver.url("/first"), *LOOPBACK)

    assert receiver.paths == ["/first"]
    assert failure == Failure(FailureKind.ANSWERED, {"status": 307})


def test_a_redirect_to_a_private_address_reaches_nobody() -> None:
    with Receiver("127.0.0.2") as inside:
        with Receiver(
            "127.0.0.1", status=307, location=inside.url("/x").replace("json:", "http:")
        ) as outside:
            assert sent(outside.url(), *LOOPBACK) is not None
            # An option of the URL does not switch it on again
            assert kind(sent(outside.url() + "?redirect=yes", *LOOPBACK)) is FailureKind.URL_REFUSED
        assert inside.messages == []


@pytest.mark.parametrize("path", ["/etc/passwd", "{checkout}/manage.py"])
def test_no_file_of_this_machine_is_read_whatever_opens_it(path: str) -> None:
    """What apprise would read by an option is refused by its name; this is what holds where a name was overlooked."""
    checkout = Path(__file__).resolve().parents[3]
    code = (
        "from notices.sender.child import Bars; Bars(()).arm()\n"
        f"try: open({path.format(checkout=checkout)!r}); print('read')\n"
        "except OSError as error: print(type(error).__name__)"
    )
    assert in_a_process(code, checkout) == "Barred"


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('socket').create_connection(('127.0.0.1', 9), 1)",
        "__import__('socket').create_connection(('localhost', 9), 1)",
        "__import__('socket').socket().connect(('10.0.0.1', 9))",
        "__import__('socket').socket(__import__('socket').AF_UNIX).connect('/run/x.sock')",
        "__import__('socket').socket(type=__import__('socket').SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "__import__('subprocess').Popen(['true'])",
        "__import__('os').system('true')",
    ],
)
def test_nothing_else_is_reached_or_started(attempt: str) -> None:
    checkout = Path(__file__).resolve().parents[3]
    code = (
        "import socket, subprocess\nfrom notices.sender.child import Bars; Bars(()).arm()\n"
        f"try: {attempt}; print('done')\n"
        "except OSError as error: print(type(error).__name__)"
    )
    assert in_a_process(code, checkout) == "Barred"


def in_a_process(code: str, checkout: Path) -> str:
    from tests.unit.processes import bare_environment, run

    done = run("-c", code, environment=bare_environment(), cwd=checkout)
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_the_url_is_in_no_argument_and_no_environment() -> None:
    # Given a message that is being sent
    held, seen = threading.Event(), threading.Event()
    with Receiver("127.0.0.1") as receiver:

        def hold() -> None:
            seen.set()
            held.wait(20)

        receiver.before = hold
        url = receiver.url("/canary-in-a-process")
        sender = threading.Thread(target=sent, args=(url, *LOOPBACK))
        sender.start()
        assert seen.wait(30)

        # Then its arguments say nothing of it, and its environment is empty
        children = [
            Path(f"/proc/{child}")
            for task in Path(f"/proc/{os.getpid()}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        told = {child: (child / "cmdline").read_bytes() for child in children}
        ours = [child for child, words in told.items() if b"notices.sender.child" in words]
        environments = [(child / "environ").read_bytes() for child in ours]
        held.set()
        sender.join(30)
    assert environments == [b""]
    assert not [words for words in told.values() if b"canary-in-a-process" in words]
