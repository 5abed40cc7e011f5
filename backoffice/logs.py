"""Logging to standard error: readable lines while developing, JSON otherwise, never a secret."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

HIDDEN: Final = "[hidden]"
SECRET_NAMES: Final = re.compile(
    r"secret|signature|passw|token|api_?key|mbx-apikey|master_?key|authorization|cookie", re.IGNORECASE
)
# In texts: what follows such a name in a query string, a header or a repr.
SECRET_TEXTS: Final = re.compile(
    r"(?P<name>signature|secret|password|listenKey|api_?key|apiKey|X-MBX-APIKEY)(?P<is>[\"']?\s*[=:]\s*[\"']?)"
    r"(?P<value>[^\s&\"',;)}]+)",
    re.IGNORECASE,
)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank values under secret names, and what follows such names inside texts."""
    for name, value in event.items():
        if name in ("_record", "exc_info"):
            continue
        event[name] = HIDDEN if SECRET_NAMES.search(name) else _cleaned(value)
    return event


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_TEXTS.sub(rf"\g<name>\g<is>{HIDDEN}", value)
    if isinstance(value, dict):
        return {k: HIDDEN if SECRET_NAMES.search(str(k)) else _cleaned(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cleaned(item) for item in value) if type(value) in (list, tuple) else value
    return value


def logging_config(*, debug: bool) -> dict[str, Any]:
    """Return Django's LOGGING, and set structlog up to go through it."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=False)] if debug else [structlog.processors.JSONRenderer()]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    # The traceback becomes text first, so that it is searched for secrets too.
                    structlog.processors.format_exc_info,
                    hide_secrets,
                    *last,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            "django.request": {"handlers": [], "level": "ERROR", "propagate": True},
            # Its messages hold whole URLs, with signatures.
            "urllib3": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "rq.worker": {"level": "INFO"},
        },
    }
