"""The verbs of a trio's page and list: a POST behind a dialog, one clear sentence, the work left to services."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import endpoints, gateways
from accounts.models import SymbolSetting
from infrastructure import job_queue
from orders import services
from orders.domain.operator_questions import Question, QuestionKind
from orders.exchange_data.clock import db_now
from orders.models import BulkItem, Heartbeat, Slot, Symbol, TrioOrder
from orders.story import question_ask
from tests.builders import Desk, story, the, until
from tests.unit.orders.operators import (
    LIST,
    SUBMITTED,
    VERBS,
    a_clerk,
    a_superuser,
    carried,
    do,
    live_url,
    page_of,
    told,
    verb_url,
)

SELECTED = ("place_selected", "cancel_selected", "close_selected", "refresh_selected")


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def everything(trio: TrioOrder) -> dict[str, Any]:
    """All that a verb could have changed."""
    row = TrioOrder.objects.filter(pk=trio.pk).values().get()
    return row | {
        "events": trio.events.count(),
        "requests": trio.requests.count(),
        "legs": list(trio.legs.values_list("client_id", "state", "look_at")),
    }


def a_draft(desk: Desk) -> TrioOrder:
    return desk.a_trio()


def an_open_trio_that_asks(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio())
    TrioOrder.objects.filter(pk=trio.pk).update(question_kind="OTHER", question_facts={"text": "Leave it?"})
    return the(trio)


# --- a GET changes nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("given", [a_draft, an_open_trio_that_asks])
def test_a_get_shows_the_dialog_and_changes_nothing(
    desk: Desk, operator: Client, redis_queue: Any, verb: str, given: Callable[[Desk], TrioOrder]
) -> None:
    trio = given(desk)
    redis_queue.empty()
    before, asked = everything(trio), len(desk.simulator.log)

    response = operator.get(verb_url(verb, trio), SUBMITTED)

    assert response.status_code == 200
    assert "csrfmiddlewaretoken" in response.content.decode()
    assert everything(trio) == before
    assert [job.description for job in redis_queue.jobs] == []
    assert len(desk.simulator.log) == asked


def test_a_post_without_a_csrf_token_is_refused(desk: Desk) -> None:
    trio = an_open_trio_that_asks(desk)
    before, stranger = everything(trio), a_superuser(csrf=True)
    for verb in VERBS:
        assert stranger.post(verb_url(verb, trio), SUBMITTED).status_code == 403, verb
        assert everything(trio) == before, verb


def test_a_post_that_did_not_confirm_shows_the_dialog_again(desk: Desk, operator: Client) -> None:
    trio = an_open_trio_that_asks(desk)
    before = everything(trio)
    for verb in VERBS:
        response = operator.post(verb_url(verb, trio), {"anything": "else"})
        assert "csrfmiddlewaretoken" in response.content.decode(), verb
        assert everything(trio) == before, verb


def test_a_list_action_by_get_changes_nothing(desk: Desk, operator: Client) -> None:
    trio = a_draft(desk)
    before = everything(trio)
    for name in SELECTED:
        operator.get(reverse(LIST), {"action": name, "_selected_action": str(trio.pk), "confirmed": "yes"})
        assert everything(trio) == before, name


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "permission"),
    [
        ("place", "place"),
        ("change_entry", "place"),
        ("chase", "place"),
        ("chase_off", "place"),
        ("move_stop", "place"),
        ("break_even", "place"),
        ("trail", "place"),
        ("trail_off", "place"),
        ("move_target", "place"),
        ("close_part", "close"),
        ("add", "place"),
        ("set_targets", "place"),
        ("place_again", "add"),
        ("close", "close"),
        ("cancel", "cancel"),
        ("refresh", "change"),
        ("answer", "change"),
        ("answer_close", "close"),
        ("answer_cancel", "cancel"),
        ("answer_adopt", "place"),
        ("drift_policy", "place"),
        ("leave_unprotected", "close"),
        ("protect_again", "place"),
        ("validate", "view"),
    ],
)
def test_a_verb_wants_its_own_permission(desk: Desk, verb: str, permission: str) -> None:
    trio = an_open_trio_that_asks(desk)
    others = {"add", "view", "place", "close", "cancel", "change"} - {permission}
    if verb == "validate":
        others -= {"change"}

    lacking = a_clerk(*others, name="lacking")
    before = everything(trio)
    # For the verbs that ask for something.
    sent = SUBMITTED | {
        "level": "96000",
        "part": "50 %",
        "quantity": "0.01",
        "targets": "104000:50",
        "bound": "99500",
        "minutes": "30",
        "typed": f"unprotected {trio.pk}",
    }
    assert lacking.post(verb_url(verb, trio), sent).status_code == 403
    assert everything(trio) == before

    having = a_clerk(permission, "view", name="having")
    assert having.post(verb_url(verb, trio), sent).status_code == 302


def test_a_page_offers_only_what_one_may_do_and_what_makes_sense(desk: Desk, operator: Client) -> None:
    draft, standing = desk.a_trio(symbol="ADAUSDT", **ada()), desk.placed(desk.a_trio())

    def offered(client: Client, trio: TrioOrder) -> set[str]:
        page = client.get(page_of(trio)).content.decode()
        return {verb for verb in VERBS if f'href="{verb_url(verb, trio)}"' in page}

    assert offered(operator, draft) == {"place", "validate", "cancel"}
    assert offered(operator, standing) == {
        "move_stop",
        "break_even",
        "trail",
        "move_target",
        "close_part",
        "add",
        "set_targets",
        "reverse",
        "close",
        "cancel",
        "refresh",
        "place_again",
        "drift_policy",
        "leave_unprotected",
    }
    assert offered(a_clerk("view", "cancel"), standing) == {"cancel"}
    TrioOrder.objects.filter(pk=standing.pk).update(
        question_kind="OTHER", question_facts={"text": "Leave it?"}
    )
    assert "answer" in offered(operator, standing)


def ada() -> dict[str, Any]:
    return {"quantity": Decimal("100"), "stop_loss": Decimal("0.1"), "take_profit": Decimal("2")}


# --- a trio's life through the buttons ----------------------------------------------------------


def test_a_trio_is_placed_refreshed_and_closed(desk: Desk, operator: Client, redis_queue: Any) -> None:
    # Given a draft
    trio = desk.a_trio()

    # When it is placed, its job is queued with nothing but an id
    assert do(operator, "place", trio) == [f"{trio}: queued for placement."]
    assert the(trio).state == "QUEUED"
    (job,) = redis_queue.jobs
    assert (job.func_name, job.args) == ("orders.jobs.place", [trio.pk])
    assert "queued" in operator.get(live_url(trio)).content.decode()

    # And a worker has carried it
    desk.advance(trio)
    desk.carry_until(trio, "OPEN")

    # Then it can be looked up again, and closed
    assert "refresh requested" in do(operator, "refresh", trio)[0]
    assert "close at market requested" in do(operator, "close", trio)[0]
    assert "in progress" in operator.get(live_url(trio)).content.decode()
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL"
    assert desk.simulator.position("BTCUSDT").is_flat

    # And the admin's own history names who did it
    assert LogEntry.objects.filter(object_id=str(trio.pk), user__username="operator").count() == 3


def test_cancel_withdraws_a_resting_entry(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=99000))
    assert the(trio).state == "WORKING"
    assert "cancel requested" in do(operator, "cancel", trio)[0]
    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []


def test_a_draft_is_withdrawn(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    assert do(operator, "cancel", trio) == [f"{trio}: the draft is withdrawn."]
    assert the(trio).state == "CANCELLED"


def test_a_question_is_answered(desk: Desk, operator: Client) -> None:
    trio = an_open_trio_that_asks(desk)
    page = operator.get(page_of(trio)).content.decode()
    assert "Action needed" in page
    assert "Leave it?" in page
    assert "left as it is" in do(operator, "answer", trio)[0]
    assert the(trio).question == ""
    assert "has no open question" in do(operator, "answer", trio)[0]


# --- validate -----------------------------------------------------------------------------------


def test_validate_tells_the_mark_price_and_places_nothing(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    before = everything(trio)
    (sentence,) = do(operator, "validate", trio)
    assert "would be accepted. Mark price: 100000" in sentence
    assert everything(trio) == before
    assert desk.requests("POST", "/fapi/v1/order") == []


def test_validate_tells_the_rule_that_is_broken(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    desk.simulator.set_price("BTCUSDT", "94000")
    (sentence,) = do(operator, "validate", trio)
    assert "Stop-loss: " in sentence
    assert "wrong side" in sentence


def test_validate_says_when_nobody_would_place_it(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    Heartbeat.objects.all().delete()
    assert "No runworker is alive" in do(operator, "validate", trio)[0]


# --- placing is refused with one sentence, and the database is as it was ------------------------


def no_worker(desk: Desk, trio: TrioOrder) -> str:
    Heartbeat.objects.all().delete()
    return "No runworker is alive"


def switched_off(desk: Desk, trio: TrioOrder) -> str:
    desk.account.is_active = False
    desk.account.save()
    return "switched off"


def slot_taken(desk: Desk, trio: TrioOrder) -> str:
    other = desk.placed(desk.a_trio())
    return f"is taken by trio {other.pk} (OPEN)"


def a_strangers_position(desk: Desk, trio: TrioOrder) -> str:
    from orders.models import Slot

    Slot.objects.update_or_create(
        account=desk.account, symbol="BTCUSDT", position_side="BOTH", defaults={"quantity": Decimal(1)}
    )
    return "not ours"


def unreachable(desk: Desk, trio: TrioOrder) -> str:
    endpoints.use_transport("PAPER", None)  # nothing listens where PAPER is looked for
    return "could not be asked"


def not_trading(desk: Desk, trio: TrioOrder) -> str:
    Symbol.objects.filter(symbol="BTCUSDT").update(status="SETTLING")
    return "not trading"


def level_passed(desk: Desk, trio: TrioOrder) -> str:
    desk.simulator.set_price("BTCUSDT", "94000")
    return "Stop-loss: "


def another_leverage_while_something_is_open(desk: Desk, trio: TrioOrder) -> str:
    desk.placed(desk.a_trio())
    SymbolSetting.objects.update_or_create(
        account=desk.account, symbol="BTCUSDT", defaults={"leverage": 20, "wanted_leverage": 3}
    )
    return "not set as wanted"


def a_wrong_master_key(desk: Desk, trio: TrioOrder) -> str:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_credential SET api_key = 'AAAA', api_secret = 'AAAA'")
    gateways.forget(desk.account.pk)
    return "CREDENTIALS_MASTER_KEY"


def wrong_mode(desk: Desk, trio: TrioOrder) -> str:
    TrioOrder.objects.filter(pk=trio.pk).update(position_side="LONG")
    return "one-way mode"


REFUSALS = [
    no_worker,
    switched_off,
    slot_taken,
    a_strangers_position,
    unreachable,
    not_trading,
    level_passed,
    another_leverage_while_something_is_open,
    a_wrong_master_key,
    wrong_mode,
]


@pytest.mark.parametrize("trouble", REFUSALS)
def test_a_refusal_is_one_sentence_and_leaves_the_draft_as_it_was(
    desk: Desk, operator: Client, redis_queue: Any, settings: Any, trouble: Callable[[Desk, TrioOrder], str]
) -> None:
    # Given a draft, and something in its way
    settings.BINANCE_TIMEOUT_MS = 500
    trio = desk.a_trio()
    words = trouble(desk, trio)
    redis_queue.empty()
    before = everything(trio)

    # When it is placed
    said = do(operator, "place", trio)

    # Then the operator is told why, once, and nothing has happened
    assert len(said) == 1
    assert words in said[0], said
    assert everything(trio) == before
    assert [job.description for job in redis_queue.jobs] == []


def test_a_trio_is_never_placed_twice(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    do(operator, "place", trio)
    before = everything(trio)
    (sentence,) = do(operator, "place", trio)
    assert "never placed twice" in sentence
    assert everything(trio) == before


@pytest.mark.parametrize("verb", ["cancel", "close", "validate", "place"])
def test_a_verb_on_an_ended_trio_says_so(desk: Desk, operator: Client, verb: str) -> None:
    trio = desk.placed(desk.a_trio())
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    before = everything(trio)
    (sentence,) = do(operator, verb, trio)
    assert "CLOSED" in sentence
    assert everything(trio) == before


@pytest.mark.parametrize("trio_id", ["999999", "no-number"])
def test_a_trio_that_does_not_exist_is_exchange_errors_translated(operator: Client, trio_id: str) -> None:
    url = reverse("admin:orders_trioorder_place", args=[trio_id])
    assert operator.get(url).status_code == 200
    response = operator.post(url, SUBMITTED)
    assert response.headers["Location"] == reverse(LIST)
    assert "does not exist" in told(response)[0]


def test_the_verbs_are_accepted_while_the_queue_is_silent(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an open trio and a draft, and a Redis that refuses every connection
    trio, resting = desk.a_trio(symbol="ADAUSDT", **ada()), desk.placed(desk.a_trio())
    gone = redis.Redis(unix_socket_path="/nonexistent/queue.sock", retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(job_queue, "connection", lambda: gone)

    # When trios are placed, cancelled and closed
    said = [*do(operator, "place", trio), *do(operator, "close", resting)]

    # Then the wishes are kept, and the operator hears that the queue is silent
    assert the(trio).state == "QUEUED"
    assert the(resting).close_wanted_at is not None
    assert sum("does not answer" in sentence for sentence in said) == 2


# --- on a selection of the list -----------------------------------------------------------------


def test_a_selection_is_placed_after_being_asked(desk: Desk, operator: Client) -> None:
    # Given two drafts, one of which cannot be placed
    good, bad = desk.a_trio(), desk.a_trio()
    asked = {"action": "place_selected", "_selected_action": [good.pk, bad.pk]}

    # When the action is run, it asks first
    page = operator.post(reverse(LIST), asked)
    assert "Place 2 trios?" in page.content.decode()
    assert (the(good).state, the(bad).state) == ("DRAFT", "DRAFT")

    # And only then does it
    operator.post(reverse(LIST), {**asked, **carried(page), "confirmed": "yes"})
    assert (the(good).state, the(bad).state) == ("QUEUED", "DRAFT")
    (refused,) = BulkItem.objects.filter(end="REFUSED")
    assert (refused.trio, f"taken by trio {good.pk}" in refused.refused_text) == (bad, True)


def test_a_list_action_wants_its_permission(desk: Desk) -> None:
    trio, clerk = desk.placed(desk.a_trio()), a_clerk("view")
    before = everything(trio)
    for name in SELECTED:
        clerk.post(reverse(LIST), {"action": name, "_selected_action": [trio.pk], "confirmed": "yes"})
        assert everything(trio) == before, name
        assert name not in clerk.get(reverse(LIST)).content.decode()


def test_too_large_a_selection_is_refused(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orders.admin.actions.SELECTION_MAX", 1)
    trios = [desk.a_trio(), desk.a_trio()]
    chosen = {"action": "cancel_selected", "_selected_action": [t.pk for t in trios], "confirmed": "yes"}
    (sentence,) = told(operator.post(reverse(LIST), chosen))
    assert "select fewer" in sentence
    assert {the(t).state for t in trios} == {"DRAFT"}


def test_a_selection_is_closed_cancelled_and_refreshed(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    for name in ("refresh_selected", "cancel_selected", "close_selected"):
        operator.post(reverse(LIST), {"action": name, "_selected_action": [trio.pk], "confirmed": "yes"})
    assert the(trio).cancel_wanted_at is not None
    assert the(trio).close_wanted_at is not None
    desk.carry_until(trio, "CLOSED")


# --- a level that is moved -------------------------------------------------------------------------


def test_a_stop_is_moved_from_the_trios_page(desk: Desk, operator: Client) -> None:
    # Given an open trio, whose dialog begins with the present level
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.carry()
    assert 'value="95000"' in operator.get(verb_url("move_stop", trio)).content.decode()

    # When another is typed
    sentences = do(operator, "move_stop", trio, level="96000")
    assert "move of the stop-loss from 95000 to 96000 requested" in sentences[0]

    def moved() -> bool:
        desk.carry()
        return the(trio).stop_loss == Decimal("96000")

    until(moved, why=lambda: story(trio))

    # Then the page and the story say it, and a level that cannot be is refused with one that can
    page = operator.get(page_of(trio)).content.decode()
    assert "Stop-loss moved from 95000 to 96000." in page
    assert "is at 96000 already" in do(operator, "move_stop", trio, level="96000")[0]
    assert "must be below the take-profit" in do(operator, "move_stop", trio, level="110500")[0]

    # And one that was shown elsewhere is looked at again first
    assert 'name="shown" value="96000"' in operator.get(verb_url("move_stop", trio)).content.decode()
    assert "not at 95000 as shown" in do(operator, "move_stop", trio, level="94000", shown="95000")[0]


def test_a_part_is_taken_off_and_added_and_targets_are_set_from_the_trios_page(
    desk: Desk, operator: Client
) -> None:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL", quantity=Decimal("0.400")))
    desk.carry()

    def worked(holds: Any) -> None:
        def done() -> bool:
            desk.carry()
            return bool(holds())

        until(done, why=lambda: story(trio))

    # A share, a quantity, or a value
    assert "closing 0.2 at market requested" in do(operator, "close_part", trio, part="50 %")[0]
    worked(lambda: trio.legs.filter(role="PART_CLOSE", state="FILLED").exists())
    assert "closing 0.05 at market requested" in do(operator, "close_part", trio, part="0.05")[0]
    worked(lambda: trio.legs.filter(role="PART_CLOSE", state="FILLED").count() == 2)
    assert trio.slot_id is not None
    Slot.objects.filter(pk=trio.slot_id).update(mark_price=Decimal("100000"))
    assert "closing 0.05 at market requested" in do(operator, "close_part", trio, part="5000.01 USDT")[0]
    worked(lambda: trio.legs.filter(role="PART_CLOSE", state="FILLED").count() == 3)
    assert "not an asset of BTCUSDT" in do(operator, "close_part", trio, part="5 ETH")[0]
    assert "does not say how much" in do(operator, "close_part", trio, part="half")[0]

    # More of it, and targets
    assert "adding 0.1 at market requested" in do(operator, "add", trio, quantity="0.1")[0]
    worked(lambda: trio.legs.filter(role="ADD", state="FILLED").exists())
    assert "part targets set" in do(operator, "set_targets", trio, targets="104000:50")[0]
    worked(lambda: trio.legs.filter(role="PART_TARGET", state="ACCEPTED", quantity="0.1").exists())
    assert 'value="104000:50"' in operator.get(verb_url("set_targets", trio)).content.decode()
    assert "is not a part target" in do(operator, "set_targets", trio, targets="104000")[0]
    assert "0.05 of 0.05 closed." in operator.get(page_of(trio)).content.decode()


def test_a_stop_follows_the_price_from_the_trios_page(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.carry()

    # When a trail is asked for
    assert "one of them" in do(operator, "trail", trio)[0]
    assert "0.1 is the nearest valid distance" in do(operator, "trail", trio, distance="0.01")[0]
    sentences = do(operator, "trail", trio, distance="2000", activation="101000", step="50", watches="LAST")
    assert "2000 behind the last price, from 101000 on, in moves of at least 50" in sentences[0]

    # Then the page says so, who moves it, and offers to end it
    page = operator.get(page_of(trio)).content.decode()
    assert (
        "Its stop-loss follows the price, by us and not by the exchange: 2000 behind the last price" in page
    )
    assert "requested by operator" in page
    assert f'href="{verb_url("trail_off", trio)}"' in page
    assert "no longer trails the price" in do(operator, "trail_off", trio)[0]
    assert "there is nothing to end" in do(operator, "trail_off", trio)[0]
    assert not the(trio).is_followed


def test_break_even_waits_from_the_trios_page(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.carry()
    assert "above zero" in do(operator, "break_even", trio, at_r="0")[0]
    assert "waits for a mark price of 105" in do(operator, "break_even", trio, at_r="1")[0]
    assert "no part target" in do(operator, "break_even", trio, after_target="True")[0]
    assert "waits for a mark price of 104000" in do(operator, "break_even", trio, at_price="104000")[0]
    assert [waiting.end for waiting in trio.break_evens.all()] == ["REPLACED", ""]
    assert "Break-even waits for a mark price of 104000" in operator.get(page_of(trio)).content.decode()


@pytest.mark.parametrize("typed", ["", "many", "-5", "1e400", "NaN"])
def test_what_is_no_price_moves_nothing(desk: Desk, operator: Client, typed: str) -> None:
    trio = desk.placed(desk.a_trio())
    response = operator.post(verb_url("move_stop", trio), SUBMITTED | {"level": typed}, follow=True)
    assert response.status_code == 200
    assert trio.level_moves.count() == 0


# --- what is placed is what was seen -------------------------------------------------------------


@pytest.mark.parametrize("where", ["page", "list"])
def test_a_draft_that_changed_since_it_was_shown_is_not_placed(
    desk: Desk, operator: Client, where: str
) -> None:
    # Given the dialog of a draft of 0.010, and somebody who saves another size and stop meanwhile
    trio = a_draft(desk)
    url = verb_url("place", trio) if where == "page" else reverse(LIST)
    select = {"action": "place_selected", "_selected_action": str(trio.pk)}
    shown = operator.get(url) if where == "page" else operator.post(url, select)
    seen = carried(shown)
    assert seen
    TrioOrder.objects.filter(pk=trio.pk).update(quantity=Decimal("0.050"), stop_loss=Decimal("94000"))

    # When it is confirmed
    confirmed = seen | (SUBMITTED if where == "page" else select | {"confirmed": "yes"})
    response = operator.post(url, confirmed)

    # Then nothing is placed, and the refusal says what changed
    assert the(trio).state == "DRAFT"
    assert "quantity 0.01 → 0.05; stop loss 95000 → 94000" in refusal_of(response, where)

    # And looked at again it is placed as it is now
    again = operator.get(url) if where == "page" else operator.post(url, select)
    operator.post(url, confirmed | carried(again))
    assert (the(trio).state, trio.quantity) == ("QUEUED", Decimal("0.050"))


@pytest.mark.parametrize("text", [None, "", "[1", "[]", "{}", '{"quantity": "0.01"}'])
@pytest.mark.parametrize("where", ["page", "list"])
def test_what_does_not_say_what_it_showed_places_nothing(
    desk: Desk, operator: Client, where: str, text: str | None
) -> None:
    # Given a draft, and a confirmation that comes from no dialog, or from one that shows only a part
    trio = a_draft(desk)
    url, sent, name = verb_url("place", trio), dict(SUBMITTED), "seen"
    if where == "list":
        url, name = reverse(LIST), f"seen-{trio.pk}"
        sent = {"action": "place_selected", "_selected_action": str(trio.pk), "confirmed": "yes"}

    # When it is sent
    response = operator.post(url, sent if text is None else sent | {name: text})

    # Then nothing is placed, and the operator is told why
    assert the(trio).state == "DRAFT"
    assert "does not say what of the draft was shown" in refusal_of(response, where)


def refusal_of(response: Any, where: str) -> str:
    """Return what the operator is told: on the trio's page by a message, on a run's page in the trio's row."""
    if where == "list":
        return BulkItem.objects.get().refused_text
    (sentence,) = told(response)
    return sentence


@pytest.mark.parametrize("verb", ["answer", "answer_close"])
def test_an_answer_is_to_the_question_that_was_shown(desk: Desk, operator: Client, verb: str) -> None:
    # Given the dialog of a question, and another one that is asked meanwhile
    trio = an_open_trio_that_asks(desk)
    dialog = operator.get(verb_url(verb, trio))
    assert "Leave it?" in dialog.content.decode()
    another = Question(QuestionKind.FAILURE, {"error": "x"})
    trio = the(trio)
    question_ask(trio, another, at=db_now())
    trio.save()
    before = everything(trio)

    # When the dialog is confirmed, or something that comes from no dialog
    for sent, words in ((carried(dialog), "asks something else now"), ({}, "does not say which question")):
        (sentence,) = told(operator.post(verb_url(verb, trio), SUBMITTED | sent))
        assert words in sentence
        operator.cookies.pop("messages", None)

        # Then nothing is answered, and nothing closed
        assert everything(trio) == before

    # And the question that stands now is answered by its own dialog
    do(operator, verb, trio)
    assert the(trio).asked != another


# --- an entry that is changed while it rests --------------------------------------------------------


def test_a_resting_entry_is_changed_through_its_dialog(desk: Desk, operator: Client) -> None:
    # Given an entry that rests, whose dialog begins with its terms
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=Decimal("99000")))
    page = operator.get(verb_url("change_entry", trio)).content.decode()
    assert 'value="99000"' in page
    assert 'value="0.01"' in page

    # When another price is typed, the other fields left empty
    sentences = do(operator, "change_entry", trio, price="99100", quantity="", good_till="")
    assert sentences == [f"{trio}: change of the entry from 0.01 at 99000 to 0.01 at 99100 requested."]
    desk.carry()
    desk.carry()
    assert the(trio).price == Decimal("99100")
    assert (
        "Entry changed from 0.01 at 99000 to 0.01 at 99100." in operator.get(live_url(trio)).content.decode()
    )

    # Then a price that cannot be is refused with one that can, and good-till changes by itself
    assert "on the wrong side" in do(operator, "change_entry", trio, price="94000")[0]
    assert "Good-till changed from none to 2099-01-31" in do(
        operator, "change_entry", trio, good_till="2099-01-31 12:00:00"
    )[0]  # fmt: skip
    assert "Say what is to change" in do(operator, "change_entry", trio)[0]


def test_an_entry_follows_the_price_from_the_trios_page(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=Decimal("99000")))

    # When a chase is asked for
    assert "99000.1 is the nearest" in do(operator, "chase", trio, bound="98000")[0]
    sentences = do(operator, "chase", trio, bound="99500", distance="100")
    assert "100 behind the last price, up to 99500, in changes of at least 0.1" in sentences[0]

    # Then the page says so and offers to end it
    page = operator.get(page_of(trio)).content.decode()
    assert "Its entry follows the price, by us and not by the exchange: 100 behind the last price" in page
    assert f'href="{verb_url("chase_off", trio)}"' in page
    assert "stays where it is" in do(operator, "chase_off", trio)[0]
    assert "there is nothing to end" in do(operator, "chase_off", trio)[0]


def test_a_stop_entry_is_shown_and_offers_no_change(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio(entry_type="STOP_MARKET", trigger_price=Decimal("101000")))
    page = operator.get(page_of(trio)).content.decode()
    assert "stop at market, trigger 101000" in page
    assert f'href="{verb_url("change_entry", trio)}"' not in page
    assert "changes no order that waits for a trigger" in do(operator, "change_entry", trio, price="1")[0]
