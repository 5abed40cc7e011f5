"""The settings under test: our own, with keys of their own and without what a person keeps in .env.

The values go into the environment, so that processes started by a test have them too. An explicit
DATABASE_URL or REDIS_URL is kept: the suite may run on servers of one's own.
"""

import os

OURS = (
    *(
        "EGRESS",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "HTTPS_ONLY",
        "TRUSTED_PROXIES",
        "PUBLIC_URL",
        "WEB_PORT",
        "WORKER_SYMBOLS",
        "TIMEFRAME",
        "STRATEGIES",
        "SIGNAL_MAX_AGE_SECONDS",
    ),
    *(
        "RECV_WINDOW_MS",
        "PROTECT_TIMEOUT_MS",
        "NAKED_LIMIT_MS",
        "TAKEOVER_MS",
        "ABSENCE_MARGIN_MS",
        "SWEEP_SECONDS",
        "SYMBOLS_SECONDS",
    ),
)
for _name in list(os.environ):
    if _name in OURS or _name.startswith("BINANCE_"):
        del os.environ[_name]
os.environ |= {
    "ENV_FILE": "",
    "DEBUG": "true",
    "SECRET_KEY": "tests-only-3c1f9a7e5d2b8064-never-use-elsewhere",
    "CREDENTIALS_MASTER_KEY": "tests-only-7b0d4e9f1a6c5283-never-use-elsewhere",
    "DRY_RUN_MODE": "true",
    "ALLOW_LIVE": "false",
}

from backoffice.settings import *  # noqa: E402, F403
from backoffice.settings import DATABASES, EMBEDDED_DATABASE, LOGGING  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the slow one only costs the suite time
LOGGING["root"]["level"] = "WARNING"
KEEP_TO_LIMITS = (
    False  # thousands of requests a minute, to simulators that know no limits; tests of limits switch it on
)
if EMBEDDED_DATABASE:
    # A commit need not reach the disk: no test here pulls the plug of the server its own rows are on.
    DATABASES["default"]["OPTIONS"] = {"options": "-c synchronous_commit=off"}
