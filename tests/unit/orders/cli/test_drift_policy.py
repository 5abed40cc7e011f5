"""``drift_policy`` from a script: what is chosen, what holds, and what is refused."""

from __future__ import annotations

from accounts.operators import os_operator
from orders.models import DriftChoices
from tests.builders import Desk
from tests.unit.orders.cli.test_commands import run


def test_a_script_chooses_for_an_account_and_for_a_trio(desk: Desk) -> None:
    trio = str(desk.placed(desk.a_trio()).pk)

    # When an account's responses are chosen, then they hold, and the others are as they are without a choice
    document = run(
        "drift_policy", "desk", "--stop-cancelled", "close", "--increased", "ADOPT", "--json"
    ).document
    assert document["chosen"] == {"stop_cancelled": "CLOSE", "increased": "ADOPT"}
    assert document["holds"] == {
        "stop_cancelled": "CLOSE",
        "reduced": "FOLLOW",
        "increased": "ADOPT",
        "reversed": "ASK",
        "settings_changed": "ASK",
        "own_orders": "LEAVE",
    }
    assert document["choices"]["own_orders"] == ["LEAVE", "ASK", "CANCEL"]
    assert DriftChoices.objects.get().updated_by == os_operator()

    # And a trio's own come first, until they are taken back
    document = run("drift_policy", "--trio", trio, "--increased", "CLOSE", "--json").document
    assert (document["trio"], document["chosen"]) == (int(trio), {"increased": "CLOSE"})
    assert (document["holds"]["increased"], document["holds"]["stop_cancelled"]) == ("CLOSE", "CLOSE")
    assert run("show_trio", trio, "--json").document["drift_policy"]["increased"] == "CLOSE"
    document = run("drift_policy", "--trio", trio, "--increased", "DEFAULT", "--json").document
    assert (document["chosen"], document["holds"]["increased"]) == ({}, "ADOPT")

    # And without a choice it only shows
    shown = run("drift_policy", "desk")
    assert "our stop is cancelled: CLOSE" in shown.out
    assert "the position is reduced: FOLLOW (not chosen here)" in shown.out


def test_what_cannot_be_chosen_is_one_sentence(desk: Desk) -> None:
    assert (
        "choose one of PROTECT_AGAIN, CLOSE, DEFAULT"
        in (run("drift_policy", "desk", "--stop-cancelled", "LEAVE", "--json").document["error"])
    )
    assert "and not both" in run("drift_policy", "--json").document["error"]
    assert "and not both" in run("drift_policy", "desk", "--trio", "7", "--json").document["error"]
    assert run("drift_policy", "nobody", "--json").code == 2
    assert run("drift_policy", "--trio", "999", "--reduced", "ASK", "--json").code == 2
    assert not DriftChoices.objects.exists()
