"""What importing the boundary loads: nothing heavy for what is pure, Binance's library with the first client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXCHANGE = Path(__file__).resolve().parents[3] / "exchange"
# What speaks to the network; everything else is pure, and its tests start at once.
NETWORK = {
    "exchange.binance.client",
    "exchange.binance.connections",
    "exchange.binance.http",
    "exchange.binance.mounted",
    "exchange.binance.public",
    "exchange.binance.streams.kline_stream",
    "exchange.binance.streams.market_stream",
    "exchange.binance.streams.reconnecting_socket",
    "exchange.binance.streams.subscribed_stream",
    "exchange.binance.streams.user_stream",
}


def loaded_by(code: str) -> set[str]:
    """Run code in a process of its own; return the top-level packages it has loaded."""
    whole = f"import sys; {code}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, check=True, timeout=60,
        cwd=EXCHANGE.parent,
    )  # fmt: skip
    return set(ran.stdout.split())


def modules() -> set[str]:
    found = {
        ".".join(path.relative_to(EXCHANGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in EXCHANGE.rglob("*.py")
    }
    assert found > NETWORK, "a module was renamed: name it here"
    return found


def test_what_is_pure_loads_no_http_client() -> None:
    loaded = loaded_by("import " + ", ".join(sorted(modules() - NETWORK)))

    assert "exchange" in loaded
    assert loaded & {"requests", "urllib3", "aiohttp", "ssl", "binance_common"} == set()


def test_the_library_is_loaded_with_the_first_client_not_with_the_import() -> None:
    assert "binance_common" not in loaded_by("import exchange.binance.client")
    assert "binance_common" in loaded_by("from exchange.binance import http; http.prepare()")
