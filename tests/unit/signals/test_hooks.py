"""Webhooks: who may post, what is understood, what is refused, and that a post is acted on once."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from infrastructure import valkey
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from signals import hooks
from signals.domain.refusals import SignalRefused, sentence
from signals.hooks import BODY_MAX, post_try, secret_add, strangers_counted
from signals.models import HookPost, HookSecret, HookSource, Signal, SignalResult
from tests.builders import Desk
from tests.unit.signals.hooks import BUY, Sender, a_sender

D = Decimal


@pytest.fixture
def sender(desk: Desk) -> Sender:
    valkey.client().delete(hooks.STRANGERS)
    return a_sender(desk)


def test_a_post_becomes_one_trio(desk: Desk, sender: Sender) -> None:
    result = sender.sends({**BUY, "comment": "crossed"})

    assert result.outcome == "PLACED", result.facts
    trio = result.trio
    assert trio is not None
    assert (trio.source, trio.side, trio.quantity, trio.stop_loss) == (
        "hook:view",
        "BUY",
        D("0.010"),
        D(95000),
    )
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")
    post = HookPost.objects.get()
    assert (post.signal, post.status) == (result.signal, 202)
    assert result.signal.reason == "crossed"


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["body", "header", "bearer", "mapped"])
def test_the_secret_is_taken_wherever_it_may_stand(sender: Sender, how: str) -> None:
    body: dict[str, Any] = {**BUY}
    if how == "mapped":
        HookSource.objects.update(mapping={"secret": "auth.key"})
        answer = sender.post({**body, "auth": {"key": sender.secret}}, secret=None)
    elif how == "body":
        answer = sender.post(body)
    elif how == "header":
        answer = sender.post(body, secret=None, X_Hook_Secret=sender.secret)
    else:
        answer = sender.post(body, secret=None, Authorization=f"Bearer {sender.secret}")

    assert answer.status_code == 202
    assert sender.secret not in json.dumps(HookPost.objects.get().payload)


@pytest.mark.parametrize("how", ["body", "header", "bearer"])
@pytest.mark.parametrize(
    "place",
    [
        "signals.web.post_receive",
        "signals.hooks.digest_of",
        "signals.hooks._received",
        "signals.hooks._key_of",
        "signals.domain.payload._depth",
        "signals.domain.payload._clean",
    ],
)
def test_an_error_page_shows_no_secret_of_a_post_even_with_debug(
    sender: Sender, settings: Any, monkeypatch: pytest.MonkeyPatch, place: str, how: str
) -> None:
    # Given a developer's installation, and a fault of ours while a post is taken in
    settings.DEBUG = True
    monkeypatch.setattr(place, None)
    sender.client.raise_request_exception = False
    headers = {
        "body": {},
        "header": {"X_Hook_Secret": sender.secret},
        "bearer": {"Authorization": f"Bearer {sender.secret}"},
    }[how]

    page = sender.post({**BUY, "comment": "crossed"}, secret="" if how == "body" else None, **headers)

    assert page.status_code == 500
    assert "&#x27;NoneType&#x27; object is not callable" in page.content.decode()
    assert sender.secret not in page.content.decode()


@pytest.mark.parametrize("secret", ["wrong", None, "é", " "])
def test_a_wrong_secret_is_answered_like_an_unknown_source_and_stores_nothing(
    sender: Sender, secret: str | None
) -> None:
    wrong = sender.post(BUY, secret=secret)
    unknown = sender.post(BUY, name="nobody")

    assert wrong.status_code == unknown.status_code == 404
    assert wrong.content == unknown.content
    assert dict(wrong.headers) == dict(unknown.headers)
    assert sender.counts() == (0, 0, 0)
    assert strangers_counted() == {"view": 1, "": 1}


def test_posts_without_the_secret_do_not_use_up_the_real_ones_rate(sender: Sender) -> None:
    HookSource.objects.update(posts_minute=2)
    for _ in range(5):
        assert sender.post(BUY, secret="wrong").status_code == 404

    assert sender.post(BUY).status_code == 202


def test_the_secret_of_another_source_opens_nothing(desk: Desk, sender: Sender) -> None:
    other = a_sender(desk, "other")
    assert sender.post(BUY, secret=other.secret).status_code == 404
    assert other.post(BUY).status_code == 202


def test_secrets_are_stored_hashed_and_rotated_without_a_gap(sender: Sender) -> None:
    newer = secret_add(sender.source)
    assert [len(row.digest) for row in HookSecret.objects.all()] == [64, 64]
    assert sender.secret not in str(list(HookSecret.objects.values()))

    assert sender.post(BUY).status_code == 202
    assert sender.post({**BUY, "symbol": "ADAUSDT"}, secret=newer).status_code == 202
    HookSecret.objects.filter(digest=hooks.digest_of(sender.secret)).delete()
    assert sender.post(BUY).status_code == 404
    assert sender.post({**BUY, "symbol": "ETHUSDT"}, secret=newer).status_code == 202


def test_a_source_without_a_secret_lets_nobody_in(sender: Sender) -> None:
    HookSecret.objects.all().delete()
    for secret in ("", "x", None):
        assert sender.post({**BUY, "secret": secret}, secret=None).status_code == 404


@pytest.mark.parametrize(
    ("allowed", "tradingview", "address", "status"),
    [
        ("", False, "203.0.113.9", 202),
        ("192.0.2.0/24", False, "192.0.2.7", 202),
        ("192.0.2.0/24", False, "203.0.113.9", 404),
        ("", True, "52.89.214.238", 202),
        ("", True, "203.0.113.9", 404),
        ("203.0.113.9", True, "203.0.113.9", 202),
    ],
)
def test_only_allowed_addresses_come_in_and_a_forged_header_does_not(
    sender: Sender, settings: Any, allowed: str, tradingview: bool, address: str, status: int
) -> None:
    HookSource.objects.update(addresses=allowed, from_tradingview=tradingview)
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]

    assert sender.post(BUY, X_Forwarded_For=address).status_code == status
    settings.TRUSTED_PROXIES = []
    peer = 404 if allowed or tradingview else 202
    assert sender.post({**BUY, "symbol": "ADAUSDT"}, X_Forwarded_For=address).status_code == peer


def test_only_a_post_is_taken_and_it_needs_no_csrf_token(sender: Sender) -> None:
    assert sender.client.get("/hooks/view/").status_code == 405
    sender.client = Client(enforce_csrf_checks=True)
    assert sender.post(BUY).status_code == 202


@pytest.mark.parametrize("authorization", ["Basic YTpi", "Digest x", "Bearer", "bearer {secret}", "{secret}"])
def test_only_a_bearer_is_a_secret_and_another_scheme_leaves_the_bodys(
    sender: Sender, authorization: str
) -> None:
    # As when the address has a user and a password for a proxy in front
    assert sender.post(BUY, Authorization=authorization.format(secret=sender.secret)).status_code == 202


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("address", ["/hooks/view/", "/hooks/view"])
def test_any_other_method_is_a_405_and_stores_nothing(sender: Sender, method: str, address: str) -> None:
    answer = sender.client.generic(method, address, json.dumps({**BUY, "secret": sender.secret}))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert sender.counts() == (0, 0, 0)


def test_the_address_is_known_with_and_without_its_last_slash(sender: Sender) -> None:
    body = json.dumps({**BUY, "secret": sender.secret})
    assert sender.client.generic("POST", "/hooks/view", body).status_code == 202


def test_a_secret_stands_nowhere_whatever_it_was_put_into(sender: Sender) -> None:
    # Given somebody who has it in the comment of an order, and in a field that is refused and shown back
    sender.sends({**BUY, "comment": f"crossed {sender.secret}"})
    refused = sender.post({**BUY, "action": f"buy {sender.secret[:30]} {sender.secret}", "id": "2"})
    odd = sender.post({**BUY, "stop": {"at": sender.secret}, "id": "3"})

    assert [answer.status_code for answer in (refused, odd)] == [422, 422]
    kept = [
        *HookPost.objects.values_list("payload", "answer", "facts"),
        *Signal.objects.values_list("reason", "terms", "figures"),
        *TrioOrder.objects.values_list("reason", "source"),
        refused.content,
        odd.content,
    ]
    assert sender.secret not in str(kept)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"action": "buy"}, 422, "FIELD_WRONG"),
        ({**BUY, "symbol": "NOSUCHUSDT"}, 403, "SYMBOL_NOT_ALLOWED"),
        ({**BUY, "quantity": "13,75"}, 422, None),  # the source's own size counts
        ({**BUY, "stop": "NaN"}, 422, "FIELD_WRONG"),
        ({**BUY, "time": "2020-01-01T00:00:00Z"}, 422, "STALE"),
    ],
)
def test_what_is_refused_is_recorded_with_its_reason_and_places_nothing(
    sender: Sender, body: dict[str, Any], status: int, kind: str | None
) -> None:
    answer = sender.post(body)

    if kind is None:
        assert answer.status_code == 202
        return
    assert (answer.status_code, answer.json().get("kind")) == (status, kind)
    assert answer.json()["error"]
    assert sender.counts() == (1, 0, 0)
    assert HookPost.objects.get().refusal == kind


@pytest.mark.parametrize(
    "body", [b"", b"buy BTCUSDT", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 9000, b"[1]"]
)
def test_a_malformed_body_is_a_clear_400_for_who_has_the_secret_and_a_404_for_others(
    sender: Sender, body: bytes
) -> None:
    assert sender.post(body).status_code == 404
    answer = sender.post(body, X_Hook_Secret=sender.secret)
    assert (answer.status_code, answer.json()["kind"]) == (400, "MALFORMED")
    assert sender.counts() == (1, 0, 0)


def test_a_body_that_is_too_large_is_not_read(sender: Sender) -> None:
    answer = sender.post(b'{"x": "' + b"x" * BODY_MAX + b'"}', X_Hook_Secret=sender.secret)
    assert answer.status_code == 413
    assert sender.counts() == (0, 0, 0)


def in_chunks(sender: Sender, body: bytes) -> Any:
    """Post as gunicorn hands on what came in chunks: without a length, to the end of its stream."""
    said = {
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    return sender.client.request(
        REQUEST_METHOD="POST", PATH_INFO="/hooks/view/", CONTENT_TYPE="application/json", **said
    )


def test_a_body_that_comes_in_chunks_is_read_as_far_as_it_may_be_long(sender: Sender) -> None:
    assert in_chunks(sender, json.dumps({**BUY, "secret": sender.secret}).encode()).status_code == 202
    large = io.BytesIO(b'{"x": "' + b"x" * BODY_MAX * 4 + b'"}')
    answer = in_chunks(sender, large.getvalue())
    assert (answer.status_code, answer.json()["error"]) == (413, "A post may have 16384 bytes.")
    assert sender.counts()[:2] == (1, 1)


def test_posts_that_differ_far_behind_are_two(sender: Sender) -> None:
    long = {**BUY, "comment": "x" * 3000}
    first = sender.post({**long, "orders": [1] * 300 + [2]})
    other = sender.post({**long, "comment": "x" * 3000 + "y", "orders": [1] * 300 + [2]})
    assert other.json() != first.json()
    assert sender.counts()[:2] == (2, 2)


@pytest.mark.parametrize("said", [b"crossed \\ud83d", b"\\udc00", b"nul \\u0000 nul"])
def test_text_that_no_database_stores_is_no_500(sender: Sender, said: bytes) -> None:
    # Half of an emoji: an alert that was cut in the middle of one
    body = b'{"symbol": "BTCUSDT", "action": "buy", "comment": "%b", "%b": 1}' % (said, said)
    answer = sender.post(body, X_Hook_Secret=sender.secret)
    assert answer.status_code == 202
    assert HookPost.objects.get().signal is not None
    assert sender.post(body, X_Hook_Secret=sender.secret).headers["Idempotent-Replay"]
    wrong = sender.post(body.replace(b"buy", said), X_Hook_Secret=sender.secret)
    assert wrong.json()["kind"] == "FIELD_WRONG"


def test_a_symbol_that_is_allowed_but_not_there_is_named(sender: Sender) -> None:
    HookSource.objects.update(symbols="GONEUSDT")
    answer = sender.post({**BUY, "symbol": "GONEUSDT.P"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "SYMBOL_UNKNOWN")


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"is_active": False}, "SOURCE_OFF"), ({"time_required": True}, "TIME_MISSING")],
)
def test_a_source_that_is_off_or_wants_a_time_says_so(
    sender: Sender, change: dict[str, Any], kind: str
) -> None:
    HookSource.objects.update(**change)
    assert sender.post(BUY).json()["kind"] == kind
    assert sender.counts() == (1, 0, 0)


@pytest.mark.parametrize("seconds", [0, -59, 59])
def test_a_time_within_the_window_is_taken(sender: Sender, seconds: int) -> None:
    time = (db_now() + timedelta(seconds=seconds)).isoformat()
    assert sender.post({**BUY, "time": time}).status_code == 202


@pytest.mark.parametrize(
    ("ms", "is_taken"), [(-60_000, True), (-60_001, False), (60_000, True), (60_001, False)]
)
def test_the_window_is_exact_at_both_ends_and_its_sentence_fits(
    sender: Sender, ms: int, is_taken: bool
) -> None:
    now = db_now()
    body = {"symbol": "BTCUSDT", "action": "buy", "time": (now + timedelta(milliseconds=ms)).isoformat()}
    if is_taken:
        assert hooks._meant(sender.source, body, now)
        return
    with pytest.raises(SignalRefused) as refused:
        hooks._meant(sender.source, body, now)
    said = sentence(refused.value.kind, refused.value.facts)
    assert "is 61 s off; the maximum is 60 s" in said  # not “60 s away, 60 allowed”


def test_a_time_of_another_zone_is_shown_in_utc(sender: Sender) -> None:
    answer = sender.post({**BUY, "time": "2020-01-01T01:00:00+01:00"})
    assert "2020-01-01 00:00:00 UTC" in answer.json()["error"]


def test_a_source_without_accounts_places_nothing(sender: Sender) -> None:
    sender.source.accounts.clear()
    assert sender.post(BUY).json()["kind"] == "NO_ACCOUNTS"


def test_more_posts_than_the_source_may_send_are_refused(sender: Sender) -> None:
    HookSource.objects.update(posts_minute=2)
    answers = [sender.post({**BUY, "id": str(number)}).status_code for number in range(4)]

    assert answers == [202, 202, 429, 429]
    assert sender.counts()[0] == 2
    HookPost.objects.update(at=db_now() - timedelta(seconds=61))
    assert sender.post({**BUY, "id": "9"}).status_code == 202


# --- once -----------------------------------------------------------------------------------------


def test_a_repeat_gets_the_first_answer_and_makes_nothing(sender: Sender) -> None:
    first = sender.post(BUY)
    again = sender.post(BUY)

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    assert sender.counts()[:2] == (1, 1)


def test_a_key_of_its_own_tells_posts_apart_and_together(sender: Sender) -> None:
    first = sender.post(BUY, Idempotency_Key="a")
    other_words = sender.post({**BUY, "action": "sell"}, Idempotency_Key="a")
    other_key = sender.post(BUY, Idempotency_Key="b")

    assert other_words.json() == first.json()
    assert other_key.json() != first.json()
    assert sender.counts()[:2] == (2, 2)


def test_the_order_of_keys_and_which_secret_make_no_other_post(sender: Sender) -> None:
    newer = secret_add(sender.source)
    sender.post({"symbol": "BTCUSDT", "action": "buy"})
    assert sender.post({"action": "buy", "symbol": "BTCUSDT"}, secret=newer).headers["Idempotent-Replay"]
    assert sender.counts()[:2] == (1, 1)


def test_a_refusal_is_repeated_too(sender: Sender) -> None:
    first, again = sender.post({"action": "buy"}), sender.post({"action": "buy"})
    assert (again.status_code, again.json()) == (422, first.json())
    assert sender.counts() == (1, 0, 0)


def test_the_same_words_long_after_are_another_post_but_never_the_same_id(sender: Sender) -> None:
    sender.post(BUY)
    sender.post({**BUY, "id": "7"})
    HookPost.objects.update(at=db_now() - timedelta(seconds=601))

    assert "Idempotent-Replay" not in sender.post(BUY).headers
    assert sender.post({**BUY, "id": "7"}).headers["Idempotent-Replay"]
    assert sender.counts()[:2] == (3, 3)


def test_while_the_same_post_runs_it_is_a_409(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "WAIT_MS", 50)
    begun, go_on = threading.Event(), threading.Event()
    described = hooks._described

    def slow(*given: Any) -> Any:
        begun.set()
        go_on.wait(10)
        return described(*given)

    def first() -> int:
        try:
            return int(Sender(sender.source, sender.secret).post(BUY).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(hooks, "_described", slow)
        running = pool.submit(first)
        begun.wait(10)
        assert sender.post(BUY).status_code == 409
        go_on.set()
        assert running.result() == 202
    assert sender.post(BUY).status_code == 202
    assert sender.counts()[:2] == (1, 1)


def test_many_duplicates_in_parallel_make_one_trio(desk: Desk, sender: Sender) -> None:
    from worker.signal_execution import signals_execute

    def post(_: int) -> int:
        try:
            return int(Sender(sender.source, sender.secret).post(BUY).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(post, range(80)))

    assert answers <= {202, 409}
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    assert sender.counts() == (1, 1, 1)


def test_killed_before_the_commit_nothing_is_there_and_the_repeat_is_the_first(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(hooks, "_described", kill)
        with pytest.raises(Killed):
            sender.post(BUY)
    assert sender.counts() == (0, 0, 0)

    answer = sender.post(BUY)
    assert (answer.status_code, "Idempotent-Replay" in answer.headers) == (202, False)


def test_a_silent_queue_loses_no_post(sender: Sender, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    from worker.polls import SignalPoll

    monkeypatch.setattr("worker.polls.HEAD_START_SECONDS", 0)
    monkeypatch.setattr("infrastructure.job_queue._enqueue", _refuse)
    assert sender.post(BUY).status_code == 202

    poll = SignalPoll()
    poll._look()
    poll.stop()
    assert SignalResult.objects.get().outcome == "PLACED"


def _refuse(*_: Any) -> None:
    raise OSError("no queue")


def test_a_post_rings_for_its_signal_by_a_job_that_is_listed(sender: Sender, redis_queue: Any) -> None:
    from worker.rq_worker import LISTED

    signal = sender.post(BUY).json()["signal"]

    (job,) = redis_queue.jobs
    assert (job.func_name, list(job.args)) == (hooks.EXECUTE, [signal])
    assert hooks.EXECUTE in LISTED


def test_trying_a_payload_says_what_it_would_be_and_does_nothing(desk: Desk, sender: Sender) -> None:
    found = post_try(sender.source, b'{"symbol": "BTC/USDT:USDT", "action": "sell"}')

    assert found.status == 202
    assert (found.document["symbol"], found.document["side"], found.document["accounts"]) == (
        "BTCUSDT",
        "SELL",
        ["desk"],
    )
    assert post_try(sender.source, b"{").status == 400
    assert sender.counts() == (0, 0, 0)
    assert not TrioOrder.objects.exists()


@pytest.mark.parametrize(("price", "kind"), [(None, "STOP_MARKET"), ("101001", "STOP")])
def test_a_post_with_a_trigger_waits_for_it(desk: Desk, sender: Sender, price: str | None, kind: str) -> None:
    said = {"trigger_price": "101000", "protection": "ON_FIRST_FILL"} | ({"price": price} if price else {})
    result = sender.sends({**BUY, **said})

    assert (result.outcome, result.refusal) == ("PLACED", ""), result.facts
    trio = TrioOrder.objects.get()
    assert (trio.state, trio.entry_type, trio.trigger_price) == ("WORKING", kind, D(101000))
    # Then it is cancelled by a post like any entry that rests
    assert sender.sends({"symbol": "BTCUSDT", "action": "cancel"}).outcome == "CANCELLING"
    desk.carry_until(trio, "CANCELLED")


def test_a_dry_run_of_a_source_sends_no_order(desk: Desk, sender: Sender) -> None:
    HookSource.objects.update(dry_run=True)
    result = sender.sends(BUY)
    assert (result.outcome, result.facts["quantity"]) == ("DRY_RUN", "0.01")
    assert desk.requests(path="/fapi/v1/") == []


def test_the_waiting_transaction_is_not_the_callers(sender: Sender) -> None:
    with transaction.atomic():
        assert sender.post(BUY).status_code == 202
