"""What is sent."""

from __future__ import annotations

from notices.domain.kinds import FORMS, Kind, Severity
from notices.domain.message import BODY_MAX, Item, message_of


def test_one_that_matters_asks_to_be_acknowledged_where_its_page_is() -> None:
    item = Item("A trio needs an answer", "Trio 1 asks.", is_urgent=True, link="https://desk.example/n/1/")
    assert message_of([item]).title == "URGENT: A trio needs an answer"
    assert message_of([item]).body == "Trio 1 asks.\n\nAcknowledge it: https://desk.example/n/1/"
    without = Item("A trio needs an answer", "Trio 1 asks.", is_urgent=True)
    assert message_of([without]).body.endswith("Acknowledge it on its page, under Notices.")


def test_several_come_in_one_message_that_fits() -> None:
    items = [
        Item("A trio was closed", f"Trio {n} was closed." + "x" * 300, is_urgent=False) for n in range(40)
    ]
    message = message_of(items)
    assert message.title == "40 notices"
    assert len(message.body) <= BODY_MAX
    assert message_of(items[:2]).body.count("•") == 2


def test_every_kind_has_a_form() -> None:
    assert set(FORMS) == set(Kind)
    assert {form.severity for form in FORMS.values()} == set(Severity)
