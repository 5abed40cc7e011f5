"""The one table from status and code to error, against what docs/reference/exchange-codes.md says."""

from __future__ import annotations

import pytest

from exchange.binance.answer import Answer
from exchange.binance.errors import (
    KINDS,
    Kind,
    classify,
    code_and_words,
    error_from,
    foreign_answer,
    no_answer,
)
from exchange.errors import (
    CredentialsRefused,
    ExchangeError,
    ExchangeUnavailable,
    OrderRejected,
    OutcomeUnknown,
)
from tests.unit.exchange.samples import sample


def codes(text: str) -> list[int]:
    """Read '-1000 -1100..-1106' as codes."""
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("..")
        found += range(int(first), int(last or first) - 1, -1)
    return found


# By what the caller does, as the page has it, not by the code under test.
UNKNOWN = codes("-1000 -1001 -1006 -1007 -2012 -2013 -2024 -4000 -4083 -4116 -4117")
WAIT = codes("-1003 -1008 -1015 -1016 -1021 -5028")
PERSON = codes(
    "-1002 -1004 -1005 -1011 -1022 -1099 -1109 -2008 -2015 -2014 -2017 -2023 -4056 -4057 -4061"
    " -4087 -4088 -4109 -4192 -4400 -4401 -4402"
)
NO = codes(
    "-1010 -1013 -1014 -1020 -1023 -1100..-1106 -1108 -1110 -1111 -1112 -1114..-1117 -1120 -1121 -1122 -1125"
    " -1127 -1128 -1130 -1136 -2010 -2011 -2018 -2019 -2020 -2021 -2022 -2025 -2026 -2027 -2028"
    " -4001..-4014 -4015 -4016 -4020 -4023 -4024 -4028 -4031 -4032 -4045 -4046 -4047 -4048 -4050 -4051 -4052"
    " -4059 -4060 -4062 -4067 -4068 -4082 -4118 -4120 -4129 -4130 -4131 -4135 -4136 -4137 -4138 -4139 -4140"
    " -4141 -4142 -4144 -4161 -4164 -4165 -4167..-4170 -4171 -4172 -4183 -4184 -4202 -4203 -4205 -4206 -4208"
    " -4209 -4210 -4211 -4403 -4509 -4531 -5021 -5022 -5024..-5027 -5029 -5037..-5039 -5040 -5041 -5043 -5047"
)
TABLE = [
    *((code, OutcomeUnknown) for code in UNKNOWN),
    *((code, ExchangeUnavailable) for code in WAIT),
    *((code, CredentialsRefused) for code in PERSON),
    *((code, OrderRejected) for code in NO),
]


@pytest.mark.parametrize(("code", "meaning"), TABLE)
def test_every_listed_code_means_what_the_reference_says(code: int, meaning: type[ExchangeError]) -> None:
    assert classify(400, code) is meaning


def test_the_table_and_the_reference_list_the_same_codes() -> None:
    assert set(KINDS) == {code for code, _ in TABLE}
    assert len(TABLE) == len({code for code, _ in TABLE})


def test_kinds_keep_the_letters_of_the_reference() -> None:
    assert KINDS[-2011] is Kind.RECONCILE
    assert KINDS[-4046] is Kind.ALREADY
    assert KINDS[-1021] is Kind.CLOCK
    assert KINDS[-2019] is Kind.REFUSED
    assert KINDS[-1111] is Kind.MALFORMED


@pytest.mark.parametrize(
    ("status", "code", "words", "meaning"),
    [
        (400, -9999, "", OrderRejected),
        (401, -9999, "", OrderRejected),
        (500, -9999, "", OutcomeUnknown),
        (500, -2019, "", OutcomeUnknown),
        (503, -1000, "Unknown error, please check your request or try again later.", OutcomeUnknown),
        (503, 0, "Service Unavailable.", ExchangeUnavailable),
        (503, 0, "Service Unavailable", ExchangeUnavailable),
        (503, 0, "Service Unavailable. Order may be executed.", OutcomeUnknown),
        (503, 0, "", OutcomeUnknown),
        (500, 0, "Service Unavailable.", OutcomeUnknown),
        (503, -1008, "", ExchangeUnavailable),
        (503, -1016, "", ExchangeUnavailable),
        (408, -1007, "", OutcomeUnknown),
        (408, 0, "", OutcomeUnknown),
        (418, 0, "", ExchangeUnavailable),
        (429, 0, "", ExchangeUnavailable),
        (429, -2015, "", ExchangeUnavailable),
        (401, 0, "", CredentialsRefused),
        (403, 0, "", ExchangeUnavailable),
        (403, -2015, "", CredentialsRefused),
        (404, 0, "", OrderRejected),
        (405, 0, "", OrderRejected),
        (400, 0, "", OutcomeUnknown),
        (409, 0, "", OutcomeUnknown),
        (302, 0, "", OutcomeUnknown),
        (100, 0, "", OutcomeUnknown),
    ],
)
def test_statuses(status: int, code: int, words: str, meaning: type[ExchangeError]) -> None:
    assert classify(status, code, words) is meaning


@pytest.mark.parametrize("name", ["errors.third_party_bodies", "errors.live_bodies"])
def test_captured_bodies_are_understood(name: str) -> None:
    import json

    for seen in sample(name):
        if seen["http"] == 200:
            continue
        error = error_from(Answer(seen["http"], {}, json.dumps(seen["body"])), reading=False)
        assert error.code == seen["body"]["code"]
        assert seen["body"]["msg"].rstrip(".")[:150] in error.message


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('{"code": -2011, "msg": "Unknown order sent."}', -2011, "Unknown order sent."),
        ('{"code": "-2011", "msg": "as text"}', -2011, "as text"),
        ('{"code": 200, "msg": "success"}', 0, "success"),
        ('{"code": true, "msg": 7}', 0, ""),
        ('{"code": -2011, "ms', 0, ""),
        ("<html>", 0, ""),
        ("Service Unavailable.", 0, "Service Unavailable."),
        ("[1]", 0, ""),
        ("", 0, ""),
    ],
)
def test_code_and_words(text: str, code: int, words: str) -> None:
    assert code_and_words(text) == (code, words)


def test_every_error_is_a_sentence() -> None:
    for status, text in (
        (400, '{"code":-2019,"msg":"Margin is insufficient."}'),
        (500, ""),
        (401, ""),
        (503, ""),
    ):
        for reading in (True, False):
            message = error_from(Answer(status, {}, text), reading=reading).message
            assert message[0].isupper()
            assert message.endswith(".")
            assert "  " not in message
    assert foreign_answer(Answer(200, {}, "x"), "odd", reading=False).message.endswith(".")
    for sent in (True, False):
        assert no_answer(host="h", sent=sent, overdue=True, timeout_ms=600, reading=False).message.endswith(
            "."
        )


def test_retry_after_is_seconds_or_nothing() -> None:
    assert Answer(429, {"retry-after": "30"}, "").retry_after == 30
    assert Answer(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "").retry_after is None
    assert Answer(429, {}, "").retry_after is None
