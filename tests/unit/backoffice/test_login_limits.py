"""Wrong passwords lock out who tries them: a name at an address, and an address whatever the names."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from backoffice.login_limits import ADDRESS_FAILURES_MAX
from infrastructure.client_address import client_address

pytestmark = pytest.mark.django_db
PROXY, DESK, THIEF = "10.0.0.2", "192.0.2.7", "203.0.113.9"


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="a long enough password")


def sign_in(password: str, *, name: str = "boss", peer: str, forwarded: str = "") -> int:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    sent = {"username": name, "password": password}
    return Client(REMOTE_ADDR=peer).post("/admin/login/", sent, headers=headers).status_code


RIGHT = "a long enough password"


def test_behind_a_proxy_only_who_tried_is_locked_out(boss: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/24")]
    for _ in range(5):
        sign_in("wrong", peer=PROXY, forwarded=THIEF)

    assert sign_in(RIGHT, peer=PROXY, forwarded=THIEF) == 429
    assert sign_in(RIGHT, peer=PROXY, forwarded=DESK) == 302


def test_a_forged_header_gets_nobody_further(boss: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/24")]
    for number in range(
        5
    ):  # the proxy appends whom it was asked by; what was there before is the thief's own
        sign_in("wrong", peer=PROXY, forwarded=f"198.51.100.{number}, {THIEF}")
    assert sign_in(RIGHT, peer=PROXY, forwarded=f"198.51.100.77, {THIEF}") == 429

    for number in range(5):  # around the proxy
        sign_in("wrong", peer="203.0.113.50", forwarded=f"198.51.100.{number}")
    assert sign_in(RIGHT, peer="203.0.113.50", forwarded="198.51.100.77") == 429


def test_one_password_on_many_names_locks_the_address(boss: User) -> None:
    for number in range(ADDRESS_FAILURES_MAX):
        sign_in("Summer2026", name=f"name{number}", peer=THIEF)

    assert sign_in("Summer2026", name="another", peer=THIEF) == 429
    assert sign_in(RIGHT, peer=THIEF) == 429
    assert sign_in(RIGHT, peer=DESK) == 302


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        (DESK, "", "", DESK),
        (DESK, THIEF, "", DESK),
        (PROXY, DESK, "10.0.0.2/32", DESK),
        (PROXY, f"{THIEF}, {DESK}", "10.0.0.2/32", DESK),
        (PROXY, f"{DESK}, 10.0.0.9", "10.0.0.0/24", DESK),
        (PROXY, "", "10.0.0.0/24", PROXY),
        (PROXY, "unknown", "10.0.0.0/24", PROXY),
        (PROXY, f"{DESK}, nonsense", "10.0.0.0/24", PROXY),
        ("::ffff:10.0.0.2", DESK, "10.0.0.0/24", DESK),
        ("::1", "2001:db8::7", "::1/128", "2001:db8::7"),
        # some proxies append the port as well
        (PROXY, f"{DESK}:51234", "10.0.0.2/32", DESK),
        (PROXY, f"{DESK}:51234, 10.0.0.9:443", "10.0.0.0/24", DESK),
        ("::1", "[2001:db8::7]:51234", "::1/128", "2001:db8::7"),
        (PROXY, ":51234", "10.0.0.0/24", PROXY),
    ],
)
def test_the_clients_address(settings: Any, peer: str, forwarded: str, trusted: str, found: str) -> None:
    settings.TRUSTED_PROXIES = [ip_network(trusted)] if trusted else []
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    assert client_address(RequestFactory(REMOTE_ADDR=peer).get("/", headers=headers)) == found
