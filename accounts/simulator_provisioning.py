"""Make a PAPER account known to our own simulator, so that its key works there."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from django.conf import settings

from accounts.credentials import secrets_of
from accounts.endpoints import stream_endpoints, transport
from accounts.error_messages import unreachable
from accounts.errors import InvalidAccount, KeyRefused
from accounts.models import Environment, ExchangeAccount, key_fingerprint

if TYPE_CHECKING:
    pass


def provision(
    *,
    name: str,
    api_key: str,
    api_secret: str,
    balance: Decimal | None = None,
    position_mode: str | None = None,
) -> bool:
    """Enter the key at the simulator; the same key and secret again change nothing.

    Returns False when the PAPER address is no simulator of ours: nothing was provisioned, the key has
    to be known there already. Raises ExchangeUnreachable, KeyRefused (the key is known there with
    another secret) or InvalidAccount.
    """
    root = stream_endpoints(Environment.PAPER).rest.rstrip("/")
    mounted = transport(Environment.PAPER)
    if mounted is None and not _is_loopback(root):
        return False  # ours listens on loopback only: never hand a secret to a stranger
    wishes = {
        "balance": format(balance, "f") if balance is not None else None,
        "position_mode": position_mode,
    }
    body = {"name": name, "api_key": api_key, "api_secret": api_secret}
    body |= {key: value for key, value in wishes.items() if value is not None}
    with requests.Session() as session:
        session.trust_env = False
        if mounted is not None:
            session.mount(root, mounted)
        try:
            answer = _post(session, f"{root}/sim/accounts", body)
            if answer.status_code == HTTPStatus.CONFLICT:
                # Perhaps only the name is taken there, by an account of an earlier installation.
                body["name"] = f"{name} {key_fingerprint(api_key)}"
                answer = _post(session, f"{root}/sim/accounts", body)
        except requests.RequestException:
            # The exception's text may hold the URL and more: only our own sentence leaves.
            raise unreachable(Environment.PAPER) from None
    if answer.status_code == HTTPStatus.CONFLICT:
        raise KeyRefused(
            "The simulator knows this API key with another secret: enter that secret, or choose another"
            " API key.",
            field="new_secret",
        )
    if answer.status_code == HTTPStatus.BAD_REQUEST and (said := _error(answer)):
        raise InvalidAccount(f"The simulator refused the account: {said}")
    return answer.ok


def _post(session: requests.Session, url: str, body: dict[str, str]) -> requests.Response:
    return session.post(url, json=body, timeout=settings.BINANCE_TIMEOUT_MS / 1000, allow_redirects=False)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error(answer: requests.Response) -> str:
    try:
        said: Any = answer.json()
    except ValueError:
        return ""
    return str(said.get("error", "")) if isinstance(said, dict) else ""


def paper_provision(account: ExchangeAccount) -> bool:
    """Make a stored PAPER account known to the simulator. False: not ours. Raises AccountsError."""
    from accounts import simulator_provisioning

    api_key, api_secret = secrets_of(account.pk, account.name)
    return simulator_provisioning.provision(
        name=account.name, api_key=api_key, api_secret=api_secret, position_mode=account.position_mode
    )
