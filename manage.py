#!/usr/bin/env python3
"""Django's command line. A wrong setting ends in one sentence and exit code 2, not in a traceback."""

from __future__ import annotations

import io
import os
import sys


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal lacks is escaped, no traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.stderr.write("Django is missing here: run `make setup`, then use .venv/bin/python manage.py.\n")
        return 2
    try:
        from django.conf import settings

        _ = settings.DEBUG  # reads the environment now, where a fault can be reported in one sentence
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        return 2
    from django.db import InterfaceError, OperationalError

    from local_servers.manager import EmbeddedServersError

    try:
        execute_from_command_line(sys.argv)
    except EmbeddedServersError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (OperationalError, InterfaceError) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        sys.stderr.write(f"The database (PostgreSQL) does not answer: {reason}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
