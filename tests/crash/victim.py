"""The process that dies. Forked from a preloaded one, it works like any job, until its boundary is reached.

The hooks are put in here, in the child alone: the product knows nothing of them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from rq.timeouts import JobTimeoutException

from orders import services
from orders.domain.enums import ENDS, RequestKind
from orders.placement import begin as beginning
from orders.placement import finish, service
from orders.placement import perform as sending
from orders.placement.perform import Answer, Call, SendCall
from orders.placement.service import OrderPlacementService, TurnResult
from tests.crash.cells import (
    ADD,
    AFTER_ACT,
    AFTER_BEGIN,
    AFTER_FINISH,
    AMEND,
    BEFORE_ACT,
    INSIDE_BEGIN,
    INSIDE_FINISH,
    KILL,
    NEXT_STOP,
    PART,
    PART_TARGET,
    RUNG,
    STOP,
    TRAIL,
)
from tests.crash.stage import die_with_parent

POLL_SECONDS = 0.008
ROLES = {
    "e": "entry",
    "s": "stop",
    "p": "target",
    "x": "exit",
    "t": PART_TARGET,
    "c": PART,
    "a": ADD,
    "r": RUNG,
    "l": TRAIL,
}


@dataclass(frozen=True, slots=True)
class Errand:
    """What a victim is to do, and where it is to die."""

    trio: int
    boundary: str
    request: str
    death: str
    mark: str  # a file that is there once the boundary was reached
    seconds: float


class Striker:
    """Ends, stops or interrupts this very process the first time its boundary is reached."""

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.struck = False
        self._lock = threading.Lock()

    def at(self, boundary: str, call: Call) -> None:
        if boundary != self.errand.boundary or asked(call) != self.errand.request:
            return
        with self._lock:
            if self.struck:
                return
            self.struck = True
        Path(self.errand.mark).write_text(json.dumps({"pid": os.getpid(), "ms": time.time_ns() // 10**6}))
        if self.errand.death == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.errand.death == STOP:
            # To this very thread: one for the process may stop another thread first, and this one goes on meanwhile.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        else:
            # As rq does it: an alarm that raises in the main thread, wherever that is.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def install(self) -> None:
        """Put the boundaries in."""
        begin, perform, record = beginning.begin, sending.perform, finish.record
        turn = OrderPlacementService._turn

        def begin_(*args: Any, **kwargs: Any) -> list[Call]:
            calls = begin(*args, **kwargs)
            self._each(INSIDE_BEGIN, calls)
            return calls

        def turn_(service_: OrderPlacementService, *args: Any, **kwargs: Any) -> TurnResult:
            found = turn(service_, *args, **kwargs)
            for answer in kwargs["answers"]:
                self.at(AFTER_FINISH, answer.call)
            self._each(AFTER_BEGIN, found.calls)
            return found

        def perform_(call: Call, exchange: Any) -> Answer:
            self.at(BEFORE_ACT, call)
            answer = perform(call, exchange)
            self.at(AFTER_ACT, call)
            return answer

        def record_(rows: Any, answer: Answer, **kwargs: Any) -> None:
            record(rows, answer, **kwargs)
            self.at(INSIDE_FINISH, answer.call)

        for where, name, hooked in (
            (service, "begin", begin_),
            (sending, "perform", perform_),
            (finish, "record", record_),
            (OrderPlacementService, "_turn", turn_),
        ):
            setattr(where, name, hooked)

    def _each(self, boundary: str, calls: Any) -> None:
        for call in calls:
            self.at(boundary, call)


def asked(call: Call) -> str:
    """Name the request a call makes; reads have no name."""
    if not isinstance(call, SendCall):
        return ""
    if call.kind is RequestKind.CANCEL:
        return "cancel"
    if call.kind is RequestKind.AMEND:
        return AMEND
    words = dict(call.wire.params)
    client_id = str(words.get("newClientOrderId") or words.get("clientAlgoId") or "")
    part = client_id.rsplit("-", 1)[-1]
    return NEXT_STOP if part[:1] == "s" and part[1:] != "1" else ROLES.get(part[:1], "")


def work(errand: Errand) -> None:
    """Queue the trio and carry it, as a job and a poll would, until it has ended or time is up."""
    striker = Striker(errand)
    striker.install()
    signal.signal(signal.SIGALRM, _time_out)
    service = OrderPlacementService(asked_by="victim")
    deadline = time.monotonic() + errand.seconds
    try:
        services.trio_queue(trio_id=errand.trio, by="crash matrix")
        service.advance(errand.trio)
        while not striker.struck and time.monotonic() < deadline:
            state, due = _look(errand.trio)
            if state in ENDS:
                break
            if due:
                service.advance(errand.trio)
            else:
                time.sleep(POLL_SECONDS)
    except JobTimeoutException:
        pass  # the job is given up; what its threads have begun goes on, as in a real worker
    except (OperationalError, InterfaceError) as error:
        # Its session was ended while it was paused: a job that fails, and is not tried again.
        print(f"victim of trio {errand.trio}: {str(error).splitlines()[0]}", file=sys.stderr)
    sending._pool.shutdown(wait=True)


def _look(trio: int) -> tuple[str, bool]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, wake_at <= clock_timestamp() FROM orders_trioorder WHERE id = %s", [trio]
        )
        state, due = cursor.fetchone()
    return state, bool(due)


def _time_out(*_: Any) -> None:
    raise JobTimeoutException("Task exceeded maximum timeout value (300 seconds)")


class Nursery:
    """A preloaded process with one thread that forks a victim for each errand. Safe to share between threads."""

    def __init__(self, log: Path) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            ours.close()
            _alone(lambda: _nurse(theirs), log)
        theirs.close()
        self._lines = ours.makefile("rw")
        self._lock = threading.Lock()

    def send(self, errand: Errand) -> int:
        """Fork a victim. Returns its process id."""
        with self._lock:
            self._lines.write(json.dumps(asdict(errand)) + "\n")
            self._lines.flush()
            return int(self._lines.readline())

    def close(self) -> None:
        self._lines.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _nurse(lines: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's zombies
    stream = lines.makefile("rw")
    for line in stream:
        errand = Errand(**json.loads(line))
        pid = os.fork()
        if not pid:
            _alone(lambda errand=errand: work(errand))  # type: ignore[misc]
        stream.write(f"{pid}\n")
        stream.flush()


def _alone(do: Callable[[], None], log: Path | None = None) -> None:
    """Run in a forked child and end it there, come what may; never outlive the parent."""
    try:
        die_with_parent()
        if log is not None:
            target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(target, 1)
            os.dup2(target, 2)
        do()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def gone(pid: int) -> bool:
    """Has this victim ended?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
