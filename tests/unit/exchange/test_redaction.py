from __future__ import annotations

import logging

import pytest

from exchange.redaction import RedactingFilter, excerpt, redact


@pytest.mark.parametrize(
    "text",
    [
        "/fapi/v1/order?symbol=BTCUSDT&signature=SECRETVALUE",
        "/fapi/v1/order?signature=SECRETVALUE&symbol=BTCUSDT",
        '{"listenKey": "SECRETVALUE", "e": 1}',
        "wss://host/private/ws?listenKey=SECRETVALUE&events=A/B",
        "X-MBX-APIKEY: SECRETVALUE",
        "wss://host/private/ws/SECRETVALUESECRETVALUESECRETVALUE",
    ],
)
def test_keys_and_signatures_are_hidden(text: str) -> None:
    clean = redact(text)
    assert "SECRETVALUE" not in clean
    assert "[hidden]" in clean


def test_the_rest_stays_readable() -> None:
    assert redact("signature=abc&symbol=BTCUSDT") == "signature=[hidden]&symbol=BTCUSDT"
    assert redact("Margin is insufficient.") == "Margin is insufficient."
    assert excerpt("key k3y " + "x" * 600, ["k3y"]).startswith("key [hidden] ")
    assert len(excerpt("x" * 600)) == 500


def test_a_log_record_is_rewritten() -> None:
    record = logging.LogRecord("urllib3", logging.DEBUG, "f", 1, "%s", ("a?signature=abc",), None)
    assert RedactingFilter().filter(record)
    assert record.getMessage() == "a?signature=[hidden]"
