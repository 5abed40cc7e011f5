"""Which addresses a notice may be sent to: public ones, and no others. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def is_allowed(host: str, also: Iterable[str] = ()) -> bool:
    """May a connection be made to this address (no name)? ``also``: networks that are allowed although private."""
    address = read_address(host)
    if address is None:
        return False
    if any(address in ip_network(network) for network in also):
        return True
    return _is_public(address)


def read_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that is written here; ``None`` when it is a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return _is_public(inner)
    # Reserved are, among others, those that a gateway translates to IPv4 (64:ff9b::/96).
    return address.is_global and not address.is_multicast and not address.is_reserved
