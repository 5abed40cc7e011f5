"""Keep signatures and keys out of texts and logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

EXCERPT_MAX: Final = 500
_SECRETS: Final = re.compile(r"(?i)\b(signature|listenKey|apiKey|X-MBX-APIKEY)(\"?\s*[=:]\s*\"?)[^&\s\"',}]+")
_STREAM_KEY: Final = re.compile(r"(/ws/)[A-Za-z0-9]{24,}")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` without signatures, listen keys, API keys and the given secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[hidden]")
    return _STREAM_KEY.sub(r"\1[hidden]", _SECRETS.sub(r"\1\2[hidden]", text))


def excerpt(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the redacted beginning of ``text``, at most 500 characters."""
    return redact(text, secrets)[:EXCERPT_MAX]


class RedactingFilter(logging.Filter):
    """Rewrite every record that carries a signature or key before a handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, ()
        return True


def quieten_http_logs() -> None:
    """Keep signed URLs out of the logs of the HTTP libraries, whatever the log settings say."""
    # urllib3 logs each request line, query and signature included, at DEBUG.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    for name in ("urllib3.connectionpool", "urllib3.connection", "aiohttp.client"):
        logger = logging.getLogger(name)
        if not any(isinstance(entry, RedactingFilter) for entry in logger.filters):
            logger.addFilter(RedactingFilter())
