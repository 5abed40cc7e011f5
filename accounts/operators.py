"""Who is at work: the user of the operating system and the machine, for what has no login."""

from __future__ import annotations

import os
import pwd
import socket


def os_operator() -> str:
    """Return ``user@host`` of this process; the one behind ``sudo`` where it says so.

    The environment says who somebody would like to be; the user id says who they are.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        user = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER", "")
    if os.getuid() == 0 and behind.isprintable() and behind:
        user = f"{behind} (as {user})"
    return f"{user}@{socket.gethostname()}"[:80]
