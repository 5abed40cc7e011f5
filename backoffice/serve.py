"""``python -m backoffice.serve NAME``, as service files of older installations name it."""

from __future__ import annotations

import sys

from local_servers.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
