"""Notes and tags: written beneath a trio, found by filter and search, compared in the statistics."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from orders.domain.errors import RuleBroken
from orders.domain.tags import tags_read
from orders.models import TrioNote, TrioOrder
from orders.remarks import NOTE_MAX, trio_tags_set
from tests.builders import Desk
from tests.unit.orders.admin.test_statistics_page import asked
from tests.unit.orders.admin.test_trio_list import ended, exported, listed
from tests.unit.orders.operators import a_clerk, a_superuser, page_of


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def said(client: Client, what: str, trio: TrioOrder, **sent: str) -> Any:
    """Post one of the forms and return the page that it leads to."""
    answer = client.post(reverse(f"admin:orders_trioorder_{what}", args=[trio.pk]), sent)
    assert answer.status_code == 302
    assert answer["Location"] == f"{page_of(trio)}#remarks"
    return client.get(page_of(trio))


def test_a_note_and_tags_are_kept_with_who_wrote_them_and_nothing_else_changes(
    desk: Desk, operator: Client
) -> None:
    trio = desk.placed(desk.a_trio())
    before = TrioOrder.objects.values().get(pk=trio.pk)

    said(operator, "tags", trio, tags="  Breakout, #late-entry breakout ")
    page = said(operator, "notes", trio, note="Entered <late>.\r\nNext time wait.").content.decode()

    assert [tag.name for tag in trio.tags.all()] == ["breakout", "late-entry"]
    note = TrioNote.objects.get()
    assert (note.text, note.written_by) == ("Entered <late>.\nNext time wait.", "operator")
    assert "Entered &lt;late&gt;.<br>Next time wait." in page
    assert 'value="breakout, late-entry"' in page
    assert TrioOrder.objects.values().get(pk=trio.pk) == before

    # And they are replaced as a whole, of a draft and of one that has ended too
    said(operator, "tags", trio, tags="fomo")
    assert [tag.name for tag in trio.tags.all()] == ["fomo"]
    said(operator, "tags", trio, tags="")
    assert not trio.tags.exists()
    said(operator, "tags", desk.a_trio(side="SELL"), tags="later")


def test_what_cannot_be_kept_is_said_beside_its_field_with_what_was_typed(
    desk: Desk, operator: Client
) -> None:
    trio = desk.a_trio()
    page = said(operator, "tags", trio, tags="good; <bad>").content.decode()
    assert "“good;” is no tag" in page
    assert 'value="good; &lt;bad&gt;"' in page
    assert "is no tag" not in operator.get(page_of(trio)).content.decode(), "said once"
    assert "The note is empty" in said(operator, "notes", trio, note=" \n ").content.decode()
    page = said(operator, "notes", trio, note="x" * (NOTE_MAX + 1)).content.decode()
    assert f"{NOTE_MAX} are the most" in page
    assert not TrioNote.objects.exists()
    assert not trio.tags.exists()


def test_who_may_only_look_reads_them_and_writes_nothing(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    said(operator, "tags", trio, tags="fomo")
    looker = a_clerk("view")
    page = looker.get(page_of(trio)).content.decode()
    assert "fomo" in page
    assert "Save note" not in page
    for what in ("tags", "notes"):
        address = reverse(f"admin:orders_trioorder_{what}", args=[trio.pk])
        assert looker.post(address, {"tags": "x", "note": "x"}).status_code == 403
        assert operator.get(address).status_code == 405
        assert a_superuser(f"strict-{what}", csrf=True).post(address, {"note": "x"}).status_code == 403
    assert [tag.name for tag in trio.tags.all()] == ["fomo"]
    missing = reverse("admin:orders_trioorder_tags", args=[trio.pk + 1])
    assert operator.post(missing, {"tags": "x"}).status_code == 404


def test_trios_are_found_by_tag_and_by_what_a_note_says(desk: Desk, operator: Client) -> None:
    first, second, third = desk.a_trio(), desk.a_trio(side="SELL"), desk.a_trio()
    said(operator, "tags", first, tags="breakout, news")
    said(operator, "tags", second, tags="news")
    said(operator, "notes", third, note="Chased it after the FED")

    assert listed(operator, tag="news") == {first.pk, second.pk}
    assert listed(operator, tag="breakout") == {first.pk}
    assert listed(operator, q="tag:News") == {first.pk, second.pk}
    assert listed(operator, q="news") == {first.pk, second.pk}
    assert listed(operator, q="tag:news sell") == set()
    assert listed(operator, q="note:fed") == {third.pk}
    assert listed(operator, tag="nothing") == set()
    page = operator.get(reverse("admin:orders_trioorder_changelist")).content.decode()
    assert '<span class="trio-tag">breakout</span>' in page
    rows = {row["trio"]: row["tags"] for row in exported(operator)}
    assert rows == {str(first.pk): "breakout, news", str(second.pk): "news", str(third.pk): ""}


def test_statistics_by_tag_count_a_trade_with_each_of_its_tags_and_once_in_the_sum(
    desk: Desk, operator: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    won, lost, plain = ended(desk, "111000"), ended(desk, "94000"), ended(desk, "94000")
    trio_tags_set(won.pk, "breakout news")
    trio_tags_set(lost.pk, "news")
    (usdt,) = asked(operator, by="tag")["assets"]
    groups = {row["group"]: (row["trades"], row["won"]) for row in usdt["groups"]}
    assert groups == {"breakout": (1, 1), "news": (2, 1), "–": (1, 0)}
    assert (usdt["trades"], usdt["won"]) == (3, 1)

    # And of one tag alone, on the page and from a script
    (usdt,) = asked(operator, tag="#News")["assets"]
    assert (usdt["trades"], usdt["won"]) == (2, 1)
    assert asked(operator, tag="nothing")["assets"] == []
    call_command("list_trios", "--tag", "breakout")
    printed = capsys.readouterr().out
    assert str(won.pk) in printed
    assert str(plain.pk) not in printed.split()


@pytest.mark.parametrize("text", ["a" * 33, "-x", "x/y", "<b>", "a\0b", " ".join(f"t{n}" for n in range(21))])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(RuleBroken):
        tags_read(text)


def test_tags_are_words_of_any_script() -> None:
    assert tags_read("Überraschung, 突破 v1.2") == ("v1.2", "überraschung", "突破")
