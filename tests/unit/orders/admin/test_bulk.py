"""The page of a bulk run: how far each trio is, from the rows alone, and the button that stops the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from orders.admin import actions
from orders.models import BulkRun
from tests.builders import Desk, the
from tests.unit.orders.operators import LIST, a_clerk, a_superuser, carried, told
from tests.unit.orders.test_bulk import three_drafts


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def confirmed(client: Client, action: str, trios: list[Any]) -> Any:
    """Select trios, look at the question, confirm it, and return the page of the run."""
    chosen = {"action": action, "_selected_action": [trio.pk for trio in trios]}
    asked = client.post(reverse(LIST), chosen)
    answer = client.post(reverse(LIST), chosen | carried(asked) | {"confirmed": "yes"})
    run = BulkRun.objects.latest("id")
    assert answer["Location"] == page_of(run)
    return client.get(page_of(run))


def page_of(run: BulkRun) -> str:
    return reverse("admin:orders_bulkrun_change", args=[run.pk])


def outcomes(page: Any) -> dict[str, str]:
    """Return what the page says of each trio, by its number."""
    return {str(row.trio.pk): row.words for row in page.context["rows"]}


def test_a_selection_is_placed_and_closed_and_each_trio_says_what_became_of_it(
    desk: Desk, operator: Client
) -> None:
    # Given three drafts, the third of which stands where the first is placed
    first, second, _ = three_drafts(desk)
    twin = desk.a_trio()

    # When they are placed together
    page = confirmed(operator, "place_selected", [first, second, twin])

    # Then the page says of each how far it is, who asked, and why one was refused
    assert outcomes(page) == {
        str(first.pk): "on its way",
        str(second.pk): "on its way",
        str(twin.pk): "refused",
    }
    body = page.content.decode()
    assert "Requested by operator" in body
    assert f"taken by trio {first.pk}" in body
    assert "1 of 3" in body
    assert LogEntry.objects.filter(change_message__contains="bulk run").count() == 3

    # And later, for anybody who may look, as it is then
    for trio in (first, second):
        desk.carry_until(trio, "OPEN")
    run = BulkRun.objects.get()
    looker = a_clerk("view")
    later = looker.get(page_of(run))
    assert set(outcomes(later).values()) == {"placed", "refused"}
    assert "Done: 2 placed, 1 refused" in later.content.decode()
    assert looker.get(reverse("admin:orders_bulkrun_changelist")).status_code == 200

    # And closed together they are followed until they are
    closing = confirmed(operator, "close_selected", [first, second])
    assert set(outcomes(closing).values()) == {"being closed"}
    for trio in (first, second):
        desk.carry_until(trio, "CLOSED")
    assert "Done: 2 closed" in operator.get(page_of(closing.context["run"])).content.decode()


def test_the_rest_is_stopped_from_the_page_by_who_may(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run of which nothing is begun yet
    monkeypatch.setattr(actions, "bulk_carry", lambda run_id, for_seconds: None)
    trios = three_drafts(desk)
    page = confirmed(operator, "cancel_selected", trios)
    assert set(outcomes(page).values()) == {"not started"}
    assert re.search(r'<button[^>]*form="bulk-stop"', page.content.decode())
    run = BulkRun.objects.get()
    stop = reverse("admin:orders_bulkrun_stop", args=[run.pk])

    # Then who has not the right that it was begun with does not stop it, and no address that is looked at does
    assert a_clerk("view").post(stop).status_code == 403
    assert operator.get(stop).status_code == 405
    assert a_superuser("strict", csrf=True).post(stop).status_code == 403
    run.refresh_from_db()
    assert run.stopped_at is None

    # When it is stopped
    answer = a_clerk("view", "cancel", name="ben").post(stop)
    assert "3 of 3 were not started" in told(answer)[-1]
    body = operator.get(answer["Location"]).content.decode()

    # Then all is taken back, by whom is said, and there is nothing more to stop
    assert "stopped by ben" in body
    assert "3 taken back" in body
    assert "bulk-stop-now" not in body
    assert {the(trio).state for trio in trios} == {"DRAFT"}


def test_a_cancel_leaves_what_is_filled_and_says_so(desk: Desk, operator: Client) -> None:
    alive, draft = desk.placed(desk.a_trio()), desk.a_trio(side="SELL")
    page = confirmed(operator, "cancel_selected", [alive, draft])
    assert outcomes(page) == {str(alive.pk): "filled, stays protected", str(draft.pk): "cancelled"}
    assert the(alive).state == "OPEN"
    assert len(desk.resting) == 2


def test_a_run_that_is_not_there_or_not_shown(desk: Desk, operator: Client) -> None:
    run = BulkRun.objects.create(verb="CLOSE", wanted_at=desk.account.created_at, wanted_by="anna")
    nobody = a_clerk("add")
    for name in ("change", "parts"):
        assert operator.get(reverse(f"admin:orders_bulkrun_{name}", args=[run.pk + 1])).status_code == 404
        assert nobody.get(reverse(f"admin:orders_bulkrun_{name}", args=[run.pk])).status_code == 403
    assert operator.post(page_of(run)).status_code == 403
    assert nobody.get(reverse("admin:orders_bulkrun_changelist")).status_code == 403
