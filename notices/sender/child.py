"""The process that sends one message through apprise: one JSON line in, one out, and it ends.

Its environment is empty, and it bars itself before apprise sees the URL: a hook of the interpreter that nothing can
take off again looks at every connection as it is made. Names are resolved by then, so it is the address that is judged
and not what a name led to a moment ago; a redirect is a connection like any other. Of files it reads what
Python and its packages are made of.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from notices.domain.addresses import is_allowed
from notices.domain.failures import FailureKind
from notices.domain.urls import scheme_of, services, url_refused

MEMORY: Final = 1024 * 1024 * 1024
CPU_SECONDS: Final = 30
FILES_MAX: Final = 64
NICENESS: Final = 10
READABLE: Final = tuple(
    {str(Path(folder).resolve()) for folder in (sys.prefix, sys.base_prefix)}
    | {"/etc/ssl", "/usr/share/zoneinfo", os.devnull, "/etc/mime.types"}
)
STARTS_SOMETHING: Final = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"})


class Barred(OSError):
    """What the process may not reach. Libraries take it for a connection or file that could not be had."""


class Bars:
    """What this process was kept from; once ``armed`` it can no longer be let out."""

    def __init__(self, also: tuple[str, ...]) -> None:
        self._also = also
        self.met: list[FailureKind] = []

    def arm(self) -> None:
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
            if address is None:  # of a socket that is connected already
                return
            host = address[0] if isinstance(address, tuple) else ""
            if not is_allowed(str(host), self._also):
                self._refuse(FailureKind.ADDRESS_REFUSED)
        elif event in STARTS_SOMETHING:
            self._refuse(FailureKind.FILE_REFUSED)
        elif event == "open" and isinstance(arguments[0], str | bytes) and not _is_readable(arguments):
            # Libraries look for files of their own accord (.netrc, say): only what the URL wants is a failure.
            self._refuse(FailureKind.FILE_REFUSED, quietly=True)

    def _refuse(self, kind: FailureKind, *, quietly: bool = False) -> None:
        if not quietly:
            self.met.append(kind)
        raise Barred("not reached from here")


def _is_readable(arguments: tuple[Any, ...]) -> bool:
    path = os.path.realpath(os.fsdecode(arguments[0]))
    return any(path == folder or path.startswith(folder + os.sep) for folder in READABLE)


def main() -> None:
    incoming, outgoing = _own_pipes()
    asked = json.loads(incoming.readline())
    _limit()
    answer = deliver(asked)
    outgoing.write(json.dumps(answer).encode() + b"\n")


def deliver(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Send what is asked: ``url``, ``title``, ``body``, ``also``. Returns ``{}`` when it was taken, else why not."""
    also = tuple(asked["also"])
    bars = Bars(also)
    url = str(asked["url"])
    if url_refused(url, also) is not None:
        return _failed(FailureKind.URL_REFUSED)
    service = services(also)[scheme_of(url)]
    plugin = getattr(importlib.import_module(f"apprise.plugins.{service.module}"), service.name)
    watched = _watch_answers()
    bars.arm()
    try:
        destination = _destination(plugin, url)
    except Exception:
        destination = None
    if destination is None:
        return _failed(FailureKind.URL_REFUSED)
    try:
        taken = bool(destination.notify(body=asked["body"], title=asked["title"]))
    except Exception as error:
        watched.append(type(error).__name__)
        taken = False
    if bars.met:
        return _failed(bars.met[0])
    if taken:
        return {}
    last = watched[-1] if watched else None
    if isinstance(last, int):
        return _failed(FailureKind.ANSWERED, status=last)
    return _failed(FailureKind.UNREACHED, error=last) if last else _failed(FailureKind.NOT_TAKEN)


def _destination(plugin: Any, url: str) -> Any:
    """Make apprise's object of a URL: certificates are checked, redirects are not followed, nothing is kept on disk."""
    from apprise import AppriseAsset, PersistentStoreMode

    asset = AppriseAsset(
        storage_mode=PersistentStoreMode.MEMORY,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        default_service_retry=0,
    )
    parts = plugin.parse_url(url)
    if not parts:
        return None
    made = plugin(**{**parts, "asset": asset, "verify": True, "redirect": False})
    made.verify_certificate, made.redirects = True, False
    return made


def _watch_answers() -> list[int | str]:
    """Keep the status of each answer, or the name of the error that came in its place: apprise says yes or no alone."""
    import requests

    found: list[int | str] = []
    send: Callable[..., Any] = requests.Session.send

    def watched(session: Any, request: Any, **options: Any) -> Any:
        try:
            answer = send(session, request, **options)
        except Exception as error:
            found.append(type(error).__name__)
            raise
        found.append(int(answer.status_code))
        return answer

    requests.Session.send = watched  # type: ignore[method-assign,assignment]
    return found


def _failed(kind: FailureKind, **facts: Any) -> dict[str, Any]:
    return {"failure": kind.value, "facts": facts}


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Take the pipes for ourselves: what a library prints or logs goes nowhere."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    return incoming, outgoing


def _limit() -> None:
    """Be nobody's competitor: what trades has the processor first."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    socket.setdefaulttimeout(10.0)
