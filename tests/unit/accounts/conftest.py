from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts import endpoints
from accounts.models import ExchangeAccount
from accounts.services import account_add
from tests.unit.accounts.venue import Venue

SECRET = "s3cret-of-the-desk-0123456789"
KEY = "key-of-the-desk-0123456789"


@pytest.fixture
def venue(settings: Any) -> Iterator[Venue]:
    """An exchange in process, mounted under every environment; TESTNET has a permissions page here too."""
    from exchange.types import Endpoints

    mounted = Venue()
    # Names that resolve nowhere: whatever slips past the mounted exchange fails at once.
    settings.BINANCE_URLS = {
        name: Endpoints(rest="http://exchange.invalid", stream="", sapi="http://exchange.invalid")
        for name in ("PAPER", "TESTNET", "LIVE")
    }
    for name in settings.BINANCE_URLS:
        endpoints.use_transport(name, mounted)
    yield mounted
    for name in settings.BINANCE_URLS:
        endpoints.use_transport(name, None)


@pytest.fixture
def add(venue: Venue) -> Callable[..., ExchangeAccount]:
    """Enter the desk's account: known to the exchange unless the story says otherwise."""

    def add_account(**wishes: Any) -> ExchangeAccount:
        key, secret = wishes.pop("api_key", KEY), wishes.pop("api_secret", SECRET)
        if key not in venue.customers and not venue.simulates:
            venue.customer(key, secret)
        given = {"name": "desk", "environment": "TESTNET", "api_key": key, "api_secret": secret}
        return account_add(**(given | wishes))

    return add_account
