"""The same guarantees over TLS, as with the real exchange."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.binance.client import BinanceExchange
from exchange.binance.connections import KeptConnections, Origin
from exchange.errors import ExchangeUnavailable, OutcomeUnknown
from exchange.types import Endpoints
from tests.unit.exchange.conftest import KEY, SECRET
from tests.unit.exchange.peer import Peer, answer, dripping_body, dripping_head, silence
from tests.unit.exchange.samples import STAMP, a_limit, placed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key and a certificate for 127.0.0.1 that nobody else trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "peer.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secured(certificate: Path) -> Iterator[Peer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    peer = Peer(context)
    yield peer
    peer.close()


def client(peer: Peer, trusted: Path | None) -> BinanceExchange:
    exchange = BinanceExchange(Endpoints(peer.url, ""), api_key=KEY, api_secret=SECRET)
    exchange._wire._transport = KeptConnections(str(trusted) if trusted else None)
    return exchange


def test_an_order_over_tls_and_the_connection_is_kept(secured: Peer, certificate: Path) -> None:
    exchange = client(secured, certificate)
    for _ in range(3):
        secured.then(answer(placed()))
        assert exchange.send(exchange.submit_request(a_limit()), stamp=STAMP)
    assert len(secured.requests) == 3
    assert secured.taken == 1


def test_the_deadline_holds_over_tls(secured: Peer, certificate: Path) -> None:
    exchange = client(secured, certificate)
    for reply in (silence(20), dripping_head(20), dripping_body(20), dripping_body(20, length_known=False)):
        secured.then(reply)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            exchange.send(exchange.submit_request(a_limit()), stamp=STAMP, timeout_ms=400)
        assert time.monotonic() - began < 2


def test_a_handshake_that_never_ends_holds_nobody_past_the_deadline() -> None:
    # Given a server that takes the connection and says nothing
    with socket.create_server(("127.0.0.1", 0)) as mute:
        exchange = BinanceExchange(
            Endpoints(f"https://127.0.0.1:{mute.getsockname()[1]}", ""), api_key=KEY, api_secret=SECRET
        )
        began = time.monotonic()
        with pytest.raises(ExchangeUnavailable, match="nothing was sent"):
            exchange.send(exchange.submit_request(a_limit()), stamp=STAMP, timeout_ms=300)
        assert time.monotonic() - began < 2


def test_a_closed_connection_is_noticed_over_tls_too(secured: Peer, certificate: Path) -> None:
    exchange = client(secured, certificate)
    secured.then(answer(placed()))
    exchange.send(exchange.submit_request(a_limit()), stamp=STAMP)
    ((resting, _),) = exchange._wire._transport._kept[Origin("127.0.0.1", secured.port, True)]  # type: ignore[attr-defined]
    secured.let_go()
    assert select.select([resting], [], [], 5)[0]
    secured.then(answer(placed()))
    assert exchange.send(exchange.submit_request(a_limit()), stamp=STAMP)
    assert (len(secured.requests), secured.taken) == (2, 2)


def test_a_certificate_of_another_name_ends_before_anything_is_sent(
    secured: Peer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", secured.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
    exchange = BinanceExchange(
        Endpoints(f"https://localhost:{secured.port}", ""), api_key=KEY, api_secret=SECRET
    )
    exchange._wire._transport = KeptConnections(str(certificate))
    with pytest.raises(ExchangeUnavailable, match="nothing was sent"):
        exchange.send(exchange.submit_request(a_limit()), stamp=STAMP)
    assert secured.requests == []


def test_a_certificate_nobody_trusts_ends_before_anything_is_sent(secured: Peer) -> None:
    exchange = client(secured, None)
    with pytest.raises(ExchangeUnavailable, match="nothing was sent"):
        exchange.send(exchange.submit_request(a_limit()), stamp=STAMP)
    assert secured.requests == []
