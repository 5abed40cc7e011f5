"""The keeper: one process per checkout that runs the local PostgreSQL and Valkey as its children.

Started by ``embedded.ensure()`` as ``keeper.py RUN SOCKETS PG_BIN VALKEY LOCK_FD``, without site
packages. It restarts a server that ends, and stops both when the last user's lock is gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

LOG_BYTES_MAX = 5_000_000
NOBODY = 65534
STOP_SECONDS = 15.0
RESTART_SECONDS = 0.1  # pause before a server that ended at once is started again
FAILURES_MAX = 40  # in a row; a predecessor may need a moment to go
# PostgreSQL refuses uid 0. It keeps the one capability that lets it work inside folders only root may
# enter, so no user is added and no folder opened. Without the securebit access(2) ignores the capability.
AS_NOBODY = [
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
]


class Keeper:
    """Both servers of one run folder."""

    def __init__(self, run: Path, sockets: Path, postgres_bin: Path, valkey: Path) -> None:
        self.run = run
        self.sockets = sockets
        self.postgres_bin = postgres_bin
        self.valkey = valkey
        self.data = run / "postgres"
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.commands: dict[str, Callable[[], list[str]]] = {
            "postgres": self.postgres_command,
            "valkey": self.valkey_command,
        }
        self.started: dict[str, float] = {}
        self.stopping = False
        self.alone = False
        self.failures = 0
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)
        os.set_blocking(self.wake_read, False)

    def keep(self) -> int:
        """Run until told to stop or until the last user is gone. Return the exit code."""
        self.make_database_cluster()
        signal.signal(signal.SIGTERM, self.on_stop)
        signal.signal(signal.SIGINT, self.on_stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        threading.Thread(target=self.wait_for_last_user, daemon=True).start()
        for name in self.commands:
            self.start(name)
        while not self.stopping:
            select.select([self.wake_read], [], [], 5.0)
            self.drain()
            self.mend()
            if self.failures > FAILURES_MAX:
                say("the servers keep ending; giving up")
                self.stop()
                return 1
        self.stop()
        return 0

    def on_stop(self, *_: object) -> None:
        self.stopping = True

    def wait_for_last_user(self) -> None:
        fd = os.open(self.run / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)  # granted when the last user is gone; held to the end of this process
        self.alone = True
        self.stopping = True
        os.write(self.wake_write, b"x")

    def drain(self) -> None:
        try:
            while os.read(self.wake_read, 512):
                pass
        except BlockingIOError:
            pass

    def mend(self) -> None:
        for name, child in list(self.children.items()):
            if child.poll() is None or self.stopping:
                continue
            say(f"{name} ended with {child.returncode}; starting it again")
            self.failures += 1
            time.sleep(RESTART_SECONDS)
            self.start(name)
        if self.failures and all(child.poll() is None for child in self.children.values()):
            self.forgive()

    def forgive(self) -> None:
        """Forget old failures once both servers have been up for a while."""
        if all(time.monotonic() - started > 10 for started in self.started.values()):
            self.failures = 0

    def start(self, name: str) -> None:
        """Start one server. Main thread only: PR_SET_PDEATHSIG fires when the starting thread ends."""
        command = self.commands[name]()
        keeper = os.getpid()
        on_death = signal.SIGINT if name == "postgres" else signal.SIGTERM
        with log_file(self.run, name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - the servers from our own wheels
                command,
                preexec_fn=lambda: follow(keeper, on_death),  # prctl only
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self.children[name] = child
        self.started[name] = time.monotonic()
        (self.run / f"{name}.pid").write_text(f"{child.pid}\n")

    def postgres_command(self) -> list[str]:
        self.clear_postgres_leftover()
        command = [str(self.postgres_bin / "postgres"), "-D", str(self.data), "-k", str(self.sockets)]
        for setting in (
            "listen_addresses=",
            "max_connections=200",
            "shared_buffers=64MB",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_min_messages=warning",
            "log_checkpoints=off",
        ):
            command += ["-c", setting]
        # A change of uid clears the parent-death signal, so setpriv sets it again.
        return [*AS_NOBODY, "--pdeathsig=INT", *command] if os.getuid() == 0 else command

    def valkey_command(self) -> list[str]:
        path = self.sockets / "valkey.sock"
        self.end_leftover("valkey", marker=str(path), how=signal.SIGTERM)
        path.unlink(missing_ok=True)
        folder = self.run / "valkey"
        folder.mkdir(mode=0o700, exist_ok=True)
        return [
            str(self.valkey),
            *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ]

    def clear_postgres_leftover(self) -> None:
        """End a server of a killed keeper, and drop a lock file whose pid is now somebody else's."""
        self.end_leftover("postgres", marker=str(self.data), how=signal.SIGINT)
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        if not command_line_has(pid, str(self.data)):
            lock.unlink(missing_ok=True)

    def end_leftover(self, name: str, *, marker: str, how: signal.Signals) -> None:
        try:
            pid = int((self.run / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return
        child = self.children.get(name)
        if (child is not None and child.pid == pid) or not command_line_has(pid, marker):
            return
        say(f"ending a {name} left over from an earlier run (pid {pid})")
        for signal_number, seconds in ((how, 8.0), (signal.SIGKILL, 2.0)):
            try:
                os.kill(pid, signal_number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not command_line_has(pid, marker):
                    return
                time.sleep(0.02)

    def make_database_cluster(self) -> None:
        """Make the data folder once; a half-made one is thrown away and made again."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        fresh = self.run / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        command = [str(self.postgres_bin / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        if os.getuid() == 0:
            os.chown(fresh, NOBODY, NOBODY)
            command = [*AS_NOBODY, *command]
        with log_file(self.run, "postgres").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")  # noqa: S603
        fresh.rename(self.data)

    def stop(self) -> None:
        for name, how in (("postgres", signal.SIGINT), ("valkey", signal.SIGTERM)):
            child = self.children.get(name)
            if child is not None and child.poll() is None:
                child.send_signal(how)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for name in self.children:
            (self.run / f"{name}.pid").unlink(missing_ok=True)
        (self.run / "keeper.pid").unlink(missing_ok=True)
        if self.alone:
            shutil.rmtree(self.sockets, ignore_errors=True)  # nobody waits there; leave no litter


def follow(parent: int, how: int) -> None:
    """Ask the kernel for a signal when the parent dies, however it dies. Runs in the child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, how)
        if os.getppid() != parent:
            os._exit(1)


def command_line_has(pid: int, marker: str) -> bool:
    """Tell whether a live process carries these words in its command line."""
    try:
        return os.fsencode(marker) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def log_file(run: Path, name: str) -> Path:
    folder = run / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{name}.log"
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return path


def say(text: str) -> None:
    sys.stderr.write(time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + text + "\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    run, sockets, postgres_bin, valkey = (Path(argument) for argument in arguments[:4])
    os.set_inheritable(int(arguments[4]), False)  # the servers must not hold the keeper's lock
    (run / "keeper.pid").write_text(f"{os.getpid()}\n")
    try:
        return Keeper(run, sockets, postgres_bin, valkey).keep()
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"cannot go on: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
