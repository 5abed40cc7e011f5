"""Open PAPER accounts at our own simulator, so that their keys work there."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings

from accounts.credentials import secrets_of
from accounts.endpoints import stream_endpoints, transport
from accounts.error_messages import unreachable
from accounts.errors import InvalidAccount, KeyRefused
from accounts.models import Environment, ExchangeAccount, key_fingerprint


def provision(
    *,
    name: str,
    api_key: str,
    api_secret: str,
    balance: Decimal | None = None,
    position_mode: str | None = None,
) -> bool:
    """Open an account with this key at the simulator; the same key and secret again change nothing.

    Returns False when the PAPER address is not a simulator of ours: nothing was opened there, and the key
    has to be known already. Raises ExchangeUnreachable, KeyRefused (the key is known there with
    another secret) or InvalidAccount.
    """
    root = stream_endpoints(Environment.PAPER).rest.rstrip("/")
    mounted = transport(Environment.PAPER)
    if mounted is None and not _is_loopback(root):
        return False  # ours listens on loopback only: a secret goes to no other host
    body = {"name": name, "api_key": api_key, "api_secret": api_secret}
    if balance is not None:
        body["balance"] = format(balance, "f")
    if position_mode is not None:
        body["position_mode"] = position_mode
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
            "The simulator knows this API key with another secret: enter that secret, or use another API key.",
            field="new_secret",
        )
    if answer.status_code == HTTPStatus.BAD_REQUEST and (reason := _error(answer)):
        raise InvalidAccount(f"The simulator refused the account: {reason}")
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
        body: Any = answer.json()
    except ValueError:
        return ""
    return str(body.get("error", "")) if isinstance(body, dict) else ""


def paper_provision(account: ExchangeAccount) -> bool:
    """Open a stored PAPER account at the simulator. False: not ours. Raises AccountsError."""
    api_key, api_secret = secrets_of(account.pk, account.name)
    return provision(
        name=account.name, api_key=api_key, api_secret=api_secret, position_mode=account.position_mode
    )
