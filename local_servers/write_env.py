"""Write ``.env`` once, from ``.env.example``, with fresh keys and free ports. Never touches an existing one.

Run by `make setup` with a bare Python: ``python3 local_servers/write_env.py``.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import sys
from pathlib import Path

# Below the range from which the kernel takes ports for outgoing connections.
PORTS = range(20_000, 30_000)


def free_ports(count: int) -> list[int]:
    """Return that many ports of the loopback interface that nobody listens on now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, 500):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free port between 20000 and 30000 on 127.0.0.1")


def filled(example: str) -> str:
    """Return the example with fresh keys, ports and what suits a first run."""
    web, simulator = free_ports(2)
    values = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "CREDENTIALS_MASTER_KEY": secrets.token_urlsafe(48),
        "DEBUG": "true",
        "DRY_RUN_MODE": "true",
        "WEB_PORT": str(web),
        "BINANCE_PAPER_REST_URL": f"http://127.0.0.1:{simulator}",
        "BINANCE_PAPER_STREAM_URL": f"ws://127.0.0.1:{simulator}",
        "BINANCE_PAPER_SAPI_URL": f"http://127.0.0.1:{simulator}",
    }
    lines = []
    for line in example.splitlines():
        name = line.partition("=")[0]
        lines.append(f"{name}={values[name]}" if name in values else line)
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    checkout = Path(__file__).resolve().parent.parent
    target = Path(arguments[0]) if arguments else checkout / ".env"
    if target.exists():
        return 0
    temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(filled((checkout / ".env.example").read_text()))
        try:
            os.link(temporary, target)  # all or nothing, and never over another's
        except FileExistsError:
            return 0
        finally:
            temporary.unlink()
    except OSError as error:
        sys.stderr.write(f"{target} cannot be written: {error.strerror or error}.\n")
        return 1
    sys.stdout.write(f"wrote {target.name} with fresh keys (mode 600)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
