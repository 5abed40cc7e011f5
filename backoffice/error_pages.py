"""What an error page shows, with DEBUG too: no secret, whatever frame it is in."""

from __future__ import annotations

import re
from types import FrameType
from typing import Any, Final

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from exchange.secret import HIDDEN

# Their frames hold headers, bodies and signatures as plain text: packages, and modules of ours.
CARRIERS: Final = frozenset(
    {
        *("requests", "urllib3", "http", "hmac", "json", "binance_common", "cryptography", "fernet_fields"),
        *("exchange.binance.connections", "exchange.binance.http", "exchange.binance.mounted"),
        *("signals.hooks", "signals.domain.payload"),
    }
)


class DiscreetFilter(SafeExceptionReporterFilter):
    """Django's filter of error pages, switched on while developing too, and for every frame's variables."""

    cleansed_substitute = HIDDEN
    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|DSN|REDIS|QUEUES|DATABASE_URL", re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> Any:
        module = str(tb_frame.f_globals.get("__name__", ""))
        if module in CARRIERS or module.partition(".")[0] in CARRIERS:
            return []
        shown = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, self.cleanse_setting(name, value)) for name, value in shown]

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        found = super().get_post_parameters(request)
        return {name: self.cleanse_setting(name, value) for name, value in found.items()}
