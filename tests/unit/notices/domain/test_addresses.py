"""Which addresses a notice may go to."""

from __future__ import annotations

import pytest

from notices.domain.addresses import is_allowed


@pytest.mark.parametrize("host", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "[2606:4700::1111]"])
def test_public_addresses_are_allowed(host: str) -> None:
    assert is_allowed(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
        ),
        *("100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
        # An address of IPv6 that stands for a private one of IPv4
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:808:808:0:0:80ff:fffe",
        ),
        *("example.com", "localhost", "", "127.1", "0x7f000001", "2130706433"),  # a name is no address
    ],
)
def test_everything_else_is_refused(host: str) -> None:
    assert not is_allowed(host)


def test_a_network_may_be_allowed_in_addition() -> None:
    assert is_allowed("127.0.0.1", ["127.0.0.1"])
    assert not is_allowed("127.0.0.2", ["127.0.0.1"])
