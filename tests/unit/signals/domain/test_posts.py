"""What a post means: strict JSON, TradingView's tickers and numbers, and the verb that its positions imply."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchange.types import OrderType, Side
from signals.domain.enums import Verb
from signals.domain.payload import look_up, read, storable, without
from signals.domain.posts import Defaults, Post, read_post, symbol_named, verb_of
from signals.domain.refusals import RefusalKind, SignalRefused, sentence
from signals.domain.terms import Level, LevelKind, Size, SizeKind, TermsError

D = Decimal


@pytest.mark.parametrize(
    "text",
    [
        "BTCUSDT", "btcusdt", " BTCUSDT ", "BTCUSDT.P", "BINANCE:BTCUSDT.P", "BINANCE:BTCUSDT", "BTC/USDT:USDT", "BTC/USDT",
        "BTCUSDTPERP", "BINANCE:BTCUSDTPERP", "BTCUSDT.PERP",
    ],
)  # fmt: skip
def test_the_ways_in_which_others_write_a_symbol(text: str) -> None:
    assert symbol_named(text) == "BTCUSDT"


@pytest.mark.parametrize("text", ["1000PEPEUSDT.P", "1000PEPE/USDT:USDT", "BINANCE:1000PEPEUSDT.P"])
def test_a_symbol_with_a_number_in_front(text: str) -> None:
    assert symbol_named(text) == "1000PEPEUSDT"


@pytest.mark.parametrize(
    "text", ["", "BYBIT:BTCUSDT.P", "BTC/USD:BTC", "{{ticker}}", "BTC USDT", "é", "A" * 60, "BTC-USDT"]
)
def test_what_is_no_symbol_of_this_exchange_is_refused(text: str) -> None:
    with pytest.raises(TermsError):
        symbol_named(text)


@pytest.mark.parametrize(
    ("action", "position", "before", "verb", "side"),
    [
        ("buy", "", "", Verb.ENTER, Side.BUY),
        ("SELL", "", "", Verb.ENTER, Side.SELL),
        ("close", "", "", Verb.CLOSE, None),
        ("cancel", "", "", Verb.CANCEL, None),
        ("buy", "long", "flat", Verb.ENTER, Side.BUY),
        ("buy", "long", "", Verb.ENTER, Side.BUY),
        ("buy", "long", "long", Verb.ADD, Side.BUY),
        ("buy", "long", "short", Verb.REVERSE, Side.BUY),
        ("sell", "short", "long", Verb.REVERSE, Side.SELL),
        # a close bears the side that it closes: one that comes late finds nothing on the other
        ("sell", "flat", "long", Verb.CLOSE, Side.BUY),
        ("buy", "flat", "short", Verb.CLOSE, Side.SELL),
        ("sell", "flat", "", Verb.CLOSE, Side.BUY),
        ("buy", "flat", "flat", Verb.CLOSE, Side.SELL),
        ("", "flat", "", Verb.CLOSE, None),
        ("close", "flat", "", Verb.CLOSE, None),
        # so it does where it is said in a word
        ("close", "flat", "long", Verb.CLOSE, Side.BUY),
        ("exit", "flat", "short", Verb.CLOSE, Side.SELL),
        ("flat", "", "long", Verb.CLOSE, Side.BUY),
        ("close", "flat", "flat", Verb.CLOSE, None),
        ("close", "long", "short", Verb.CLOSE, Side.BUY),
        ("cancel", "flat", "long", Verb.CANCEL, None),
        # case 19: it sells towards a position that is to be long, so it can only reduce
        ("sell", "long", "long", Verb.REDUCE, Side.BUY),
        ("sell", "long", "", Verb.REDUCE, Side.BUY),
        ("buy", "short", "short", Verb.REDUCE, Side.SELL),
        ("", "flat", "long", Verb.CLOSE, Side.BUY),
        ("sell", "short", "flat", Verb.ENTER, Side.SELL),
        ("sell", "short", "short", Verb.ADD, Side.SELL),
        ("", "short", "flat", Verb.ENTER, Side.SELL),
    ],
)
def test_the_verb_is_what_the_positions_imply(
    action: str, position: str, before: str, verb: Verb, side: Side | None
) -> None:
    assert verb_of(action, position, before) == (verb, side)


def test_a_word_that_says_nothing_holds_up_no_exit() -> None:
    assert verb_of("close", before="{{strategy.prev_market_position}}") == (Verb.CLOSE, None)


@pytest.mark.parametrize(
    ("action", "position", "before"),
    [("", "", ""), ("hold", "", ""), ("buy", "up", ""), ("buy", "long", "up")],
)
def test_what_is_no_action_is_refused(action: str, position: str, before: str) -> None:
    with pytest.raises(TermsError):
        verb_of(action, position, before)


def post(body: bytes, mapping: dict[str, str] | None = None, defaults: Defaults | None = None) -> Post:
    return read_post(read(body), mapping or {}, defaults or Defaults())


def test_a_post_with_every_number_as_tradingview_writes_it() -> None:
    found = post(
        b'{"symbol": "ETHUSDT.P", "action": "buy", "quantity": 0.50, "stop": "1960.00", "target_r": 2, "price": 2e3,'
        b' "time": "2026-11-28T10:00:00Z", "comment": "crossed", "id": 77, "atr": "12.5"}'
    )

    assert (found.symbol, found.verb, found.side, found.id) == ("ETHUSDT", Verb.ENTER, Side.BUY, "77")
    assert found.terms.size == Size(SizeKind.QUANTITY, D("0.50"))
    assert found.terms.stop == Level(LevelKind.PRICE, D("1960.00"))
    assert found.terms.target == Level(LevelKind.R, D(2))
    assert (found.terms.entry_type, found.terms.price) == (OrderType.LIMIT, D(2000))
    assert found.time == datetime(2026, 11, 28, 10, tzinfo=UTC)
    assert (found.reason, found.atr) == ("crossed", D("12.5"))


@pytest.mark.parametrize(
    ("said", "kind", "price"),
    [
        (b'"trigger_price": "2010.5"', OrderType.STOP_MARKET, None),
        (b'"trigger_price": 2010.5, "price": "2011"', OrderType.STOP, D(2011)),
    ],
)
def test_a_trigger_makes_a_stop_entry(said: bytes, kind: OrderType, price: Decimal | None) -> None:
    found = post(b'{"symbol": "ETHUSDT", "action": "buy", "protection": "on_first_fill", %b}' % said)

    assert (found.terms.entry_type, found.terms.trigger) == (kind, D("2010.5"))
    assert (found.terms.price, found.terms.protection) == (price, "ON_FIRST_FILL")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b'"trigger_price": "0"', "trigger_price must be greater than zero"),
        (b'"trigger_price": "2010,5"', "Write 2010.5 if that is meant"),
        (b'"protection": "always"', "one of PRE_ARMED, ON_FIRST_FILL is meant"),
    ],
)
def test_a_trigger_or_protection_that_cannot_be_meant_is_refused(said: bytes, words: str) -> None:
    with pytest.raises(SignalRefused) as refused:
        post(b'{"symbol": "ETHUSDT", "action": "buy", %b}' % said)
    assert words in sentence(refused.value.kind, refused.value.facts)


@pytest.mark.parametrize(
    "time",
    [
        "1795860000000",
        '"1795860000000"',
        "1795860000",
        '"2026-11-28T10:00:00+00:00"',
        '"2026-11-28T11:00:00+01:00"',
    ],
)
def test_times_are_understood_as_they_come(time: str) -> None:
    found = post(b'{"symbol": "BTCUSDT", "action": "close", "time": %b}' % time.encode())
    assert found.time == datetime(2026, 11, 28, 10, tzinfo=UTC)


def test_a_mapping_says_where_each_field_stands() -> None:
    body = b'{"ticker": "BINANCE:ADAUSDT.P", "strategy": {"order": {"action": "sell", "contracts": "3540"}}, "t": [{"p": 0.4}]}'
    mapping = {
        "symbol": "ticker", "action": "strategy.order.action", "quantity": "strategy.order.contracts", "target": "t.0.p",
    }  # fmt: skip

    found = post(body, mapping)

    assert (found.symbol, found.side) == ("ADAUSDT", Side.SELL)
    assert found.terms.size == Size(SizeKind.QUANTITY, D(3540))
    assert found.terms.target == Level(LevelKind.PRICE, D("0.4"))


def test_the_sources_own_size_counts_instead_of_the_posts() -> None:
    own = Size(SizeKind.RISK, D(1))
    stop = Level(LevelKind.PERCENT, D(2))
    found = post(b'{"symbol": "BTCUSDT", "action": "buy", "quantity": 100}', None, Defaults(own, stop))

    assert (found.terms.size, found.terms.stop) == (own, stop)


def test_a_posts_size_is_capped_and_slips_as_its_source_says() -> None:
    said = Defaults(cap=True, slippage=D("0.1"))
    found = post(b'{"symbol": "BTCUSDT", "action": "buy", "risk_percent": 1}', None, said)
    assert found.terms.size == Size(SizeKind.RISK, D(1), cap=True, slippage=D("0.1"))


def test_a_reversal_enters_with_the_position_and_not_with_the_orders_size() -> None:
    found = post(
        b'{"symbol": "BTCUSDT", "action": "sell", "market_position": "short", "prev_market_position": "long",'
        b' "quantity": 5, "position_size": "-2"}'
    )
    assert (found.verb, found.side) == (Verb.REVERSE, Side.SELL)
    assert found.terms.size == Size(SizeKind.QUANTITY, D(2))


def test_a_reversal_that_says_only_the_orders_size_is_refused_not_doubled() -> None:
    # From long 3 to short 2 TradingView orders 5 contracts: taken as the new position it would be more than twice as large
    body = b'{"symbol": "BTCUSDT", "action": "sell", "market_position": "short", "prev_market_position": "long", "quantity": 5}'
    with pytest.raises(SignalRefused) as refused:
        post(body)
    assert refused.value.facts["field"] == "position_size"

    # A size of the source's own, or another kind of size in the post, is that of the new position
    own = Size(SizeKind.RISK, D(1))
    assert post(body, None, Defaults(own)).terms.size == own
    notional = post(body.replace(b'"quantity": 5', b'"notional": "500"'))
    assert notional.terms.size == Size(SizeKind.NOTIONAL, D(500))


def test_a_byte_order_mark_means_nothing() -> None:
    assert read(b'\xef\xbb\xbf{"a": 1}') == {"a": D(1)}
    with pytest.raises(SignalRefused):
        read(b"\xef\xbb\xbf" * 2 + b"{}")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", RefusalKind.MALFORMED),
        (b"BTCUSDT buy", RefusalKind.MALFORMED),
        (b"[]", RefusalKind.MALFORMED),
        (b'"x"', RefusalKind.MALFORMED),
        (b'{"symbol": "BTCUSDT"', RefusalKind.MALFORMED),
        (b'{"quantity": NaN}', RefusalKind.MALFORMED),
        (b'{"quantity": Infinity}', RefusalKind.MALFORMED),
        (b'{"quantity": -Infinity}', RefusalKind.MALFORMED),
        (b'{"action": "buy", "action": "sell"}', RefusalKind.MALFORMED),
        (b"\xff\xfe", RefusalKind.MALFORMED),
        (b"[" * 20_000, RefusalKind.MALFORMED),
        (b'{"a":' * 20 + b"1" + b"}" * 20, RefusalKind.MALFORMED),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": "13,75"}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": "NaN"}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": true}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": 0}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": 1e999999}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": {}}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "quantity": 1, "notional": 5}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "stop": 1, "stop_percent": 5}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": ["BTCUSDT"], "action": "buy"}', RefusalKind.FIELD_WRONG),
        (b'{"action": "buy"}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT"}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "time": "yesterday"}', RefusalKind.FIELD_WRONG),
        (b'{"symbol": "BTCUSDT", "action": "buy", "time": 99999999999999999999}', RefusalKind.FIELD_WRONG),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_a_sentence(body: bytes, kind: RefusalKind) -> None:
    with pytest.raises(SignalRefused) as refused:
        post(body)

    assert refused.value.kind is kind
    assert sentence(kind, refused.value.facts)


def test_a_path_finds_what_is_there_and_nothing_else() -> None:
    payload: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}}
    assert look_up(payload, "a.b.1.c") == 2
    assert [
        look_up(payload, path) for path in ("a.x", "a.b.9", "a.b.-1", "a.b.c", "a.b.1.c.d", "__class__")
    ] == [None] * 6


def test_no_secret_is_stored_wherever_it_stood() -> None:
    said = {"secret": "SESAME", "x": ["see SESAME!", {"SESAME": D("1.50")}], "n": None, "z": "\0"}
    kept = without(said, "SESAME")

    assert "SESAME" not in str(kept)
    assert kept["x"][1] == {"•••": D("1.50")}
    assert kept["z"] == ""
    assert storable(kept)["x"] == ["see •••!", {"•••": "1.50"}]
    assert len(storable({"k" * 5000: "v" * 5000})["k" * 200]) == 2000
