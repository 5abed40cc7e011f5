"""The badge colours of the accounts' words, on every page that shows them."""

from __future__ import annotations

from typing import Final

ENVIRONMENT_COLOURS: Final = {"PAPER": "info", "TESTNET": "warning", "LIVE": "danger"}
