"""All settings, read once from the environment. Importing this starts nothing and reaches nothing.

``docs/reference/settings.md`` lists them; a test checks that none is missing there.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import environ

from backoffice.env import RECV_WINDOW_MAX, Configuration, read_env_file
from backoffice.logs import logging_config
from exchange.secret import Secret
from exchange.types import Endpoints
from local_servers import manager

BASE_DIR = Path(__file__).resolve().parent.parent
# Tests set ENV_FILE to nothing: what a person keeps in .env must not decide whether they pass.
ENV_FILE = os.environ.get("ENV_FILE", str(BASE_DIR / ".env"))
if ENV_FILE and Path(ENV_FILE).is_file():
    read_env_file(ENV_FILE)
_env = Configuration(environ.Env())

# --- what kind of installation this is -----------------------------------------------------

DEBUG = _env.flag("DEBUG", default=False)
SECRET_KEY = _env.secret_key()
CREDENTIALS_MASTER_KEY = _env.master_keys()
FERNET_KEYS = [
    key.reveal() for key in CREDENTIALS_MASTER_KEY
]  # the library takes text; the first encrypts, all decrypt
ALLOWED_HOSTS = _env.texts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _env.texts("CSRF_TRUSTED_ORIGINS")
HTTPS_ONLY = _env.flag("HTTPS_ONLY", default=False)
TRUSTED_PROXIES = _env.networks("TRUSTED_PROXIES")
PUBLIC_URL = _env.public_url()
WEB_PORT = _env.number("WEB_PORT", 8000, least=1, most=65535, unit="(a port)")

# --- PostgreSQL and Redis ------------------------------------------------------------------

_database = _env.database(debug=DEBUG)
EMBEDDED_DATABASE = _database is None
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **(
            _database
            or {
                "ENGINE": "local_servers.django_backend",
                "NAME": manager.DATABASE,
                "USER": manager.ROLE,
                "HOST": str(manager.sockets_dir()),
            }
        ),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis_url = _env.redis_url(debug=DEBUG)
EMBEDDED_REDIS = not _redis_url
REDIS_URL = _redis_url or manager.redis_url()
RQ_QUEUES: dict[str, dict[str, Any]] = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": seconds, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name, seconds in (("orders", 300), ("default", 900))
}
RQ = {"WORKER_CLASS": "worker.rq_worker.DjangoWorker"}
RQ_SHOW_ADMIN_LINK = False  # its pages let any staff user see and empty the queues

# --- trading -------------------------------------------------------------------------------

BINANCE_URLS: dict[str, Endpoints] = {name: _env.endpoints(name) for name in ("LIVE", "TESTNET", "PAPER")}
BINANCE_TESTNET = _env.flag("BINANCE_TESTNET", default=False)
BINANCE_TESTNET_API = Secret(_env.text("BINANCE_TESTNET_API"))
BINANCE_TESTNET_SECRET = Secret(_env.text("BINANCE_TESTNET_SECRET"))
DRY_RUN_MODE = _env.flag("DRY_RUN_MODE", default=True)
ALLOW_LIVE = _env.allow_live(debug=DEBUG)
WORKER_SYMBOLS = _env.symbols("WORKER_SYMBOLS")
TIMEFRAME = _env.timeframe()
STRATEGIES = _env.strategies()
SIGNAL_MAX_AGE_SECONDS = _env.number("SIGNAL_MAX_AGE_SECONDS", 60, least=1, most=3600, unit="seconds")
NOTICES_ALSO_TO: tuple[str, ...] = ()  # private networks; tests name loopback, nobody else can
KEEP_TO_LIMITS = True  # tests of other things switch it off; nobody else can
EGRESS = _env.name("EGRESS", "default")
BINANCE_TIMEOUT_MS = _env.number("BINANCE_TIMEOUT_MS", 5000, least=100, most=120_000, unit="milliseconds")
RECV_WINDOW_MS = _env.number("RECV_WINDOW_MS", 5000, least=100, most=RECV_WINDOW_MAX, unit="milliseconds")
PROTECT_TIMEOUT_MS = _env.number("PROTECT_TIMEOUT_MS", 600, least=50, most=10_000, unit="milliseconds")
NAKED_LIMIT_MS = _env.number("NAKED_LIMIT_MS", 2000, least=600, most=60_000, unit="milliseconds")
TAKEOVER_MS = _env.number("TAKEOVER_MS", 1500, least=750, most=60_000, unit="milliseconds")
ABSENCE_MARGIN_MS = _env.number("ABSENCE_MARGIN_MS", 10_000, least=1000, most=600_000, unit="milliseconds")
SYMBOLS_SECONDS = _env.number("SYMBOLS_SECONDS", 600, least=10, most=86400, unit="seconds")
SWEEP_SECONDS = _env.number("SWEEP_SECONDS", 15, least=1, most=3600, unit="seconds")

# --- Django --------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.simple_history",
    "backoffice.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "simple_history",
    "django_rq",
    "django_prometheus",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "csp",
    "backoffice.apps.BackofficeConfig",
    "accounts.apps.AccountsConfig",
    "orders.apps.OrdersConfig",
    "signals.apps.SignalsConfig",
    "notices.apps.NoticesConfig",
    "worker.apps.WorkerConfig",
    "replay.apps.ReplayConfig",
    "demo.apps.DemoConfig",
]
MIDDLEWARE = [
    "backoffice.health.HealthDoor",  # first: a load balancer asks by address, and without TLS
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "backoffice.viewer_zone.ViewerZone",
    "backoffice.error_answers.RefuseBadKeys",
    "backoffice.error_answers.NameTheDatabase",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers for what the views before it raised
]
DEFAULT_EXCEPTION_REPORTER_FILTER = "backoffice.error_pages.DiscreetFilter"
ROOT_URLCONF = "backoffice.urls"
WSGI_APPLICATION = "backoffice.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "/admin/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "backoffice.error_answers.locked_out"
AXES_HANDLER = "backoffice.login_limits.LoginLimits"
AXES_CLIENT_IP_CALLABLE = "infrastructure.client_address.client_address"
AXES_USERNAME_CALLABLE = "backoffice.login_limits.name_tried"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
OTP_TOTP_ISSUER = "Trio back office"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True  # a second factor's seed is for its owner, not for whoever sees the list
SIMPLE_HISTORY_REVERT_DISABLED = True

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = False

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "backoffice" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        # The hashed names need a collectstatic first; a developer and the tests serve the files as they are.
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
if DEBUG:
    warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
WHITENOISE_AUTOREFRESH = False

# Alpine, which unfold's dialogs are made of, needs 'unsafe-eval'; no inline script is allowed.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None
PROMETHEUS_EXPORT_MIGRATIONS = False  # it would open the database while the settings are loaded

LOGGING = logging_config(debug=DEBUG)

UNFOLD = {
    "SITE_TITLE": "Trio back office",
    "SITE_HEADER": "Trio back office",
    "SITE_SUBHEADER": "Bracket orders on USDⓈ-M Futures",
    "SITE_SYMBOL": "account_tree",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/backoffice/favicon.svg"}],
    "STYLES": ["/static/backoffice/without_scripts.css", "/static/backoffice/access.css"],
    "SCRIPTS": ["/static/backoffice/access.js"],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "backoffice.dashboard.environment_badge",
    "DASHBOARD_CALLBACK": "backoffice.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "backoffice.navigation.sidebar",
    },
}
