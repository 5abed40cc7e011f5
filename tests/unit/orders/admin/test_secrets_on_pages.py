"""No page shows a secret: none as it is, and none that tells of a fault of ours while DEBUG is on."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts.models import Credential
from tests.builders import Desk
from tests.unit.orders.admin.every_page import World, every_address, signed_in, taken_back
from tests.unit.orders.admin.test_roles import sent_to

# Beneath every page, and beneath everything that asks the exchange with a key in its hands.
FAULTS = (
    "django.contrib.admin.sites.AdminSite.each_context",
    "exchange.binance.http.Wire._answer",
    "accounts.simulator_provisioning._post",
)


@pytest.mark.parametrize("faulty", [False, True], ids=["as-it-is", "fault-and-DEBUG"])
def test_no_page_shows_a_secret(
    desk: Desk, settings: Any, monkeypatch: pytest.MonkeyPatch, faulty: bool
) -> None:
    # Given an account with credentials, and a row behind every page
    world = World.made(desk)
    stored = Credential.objects.get(account=desk.account)
    typed = {"api_key": f"typed-key-{98765}", "new_secret": f"typed-secret-{98765}"}
    secrets = [
        *(stored.api_key.decrypt(), stored.api_secret.decrypt(), *typed.values()),
        *(settings.SECRET_KEY, *settings.FERNET_KEYS),
    ]
    boss = signed_in(User.objects.create_superuser("boss"))
    session = dict(boss.cookies)
    if faulty:
        settings.DEBUG = True
        for place in FAULTS:
            monkeypatch.setattr(place, fault)

    # When each address is asked for, and each form sent
    wrong, looked_at = [], {"GET": 0, "POST": 0}
    for address in every_address():
        for method in looked_at:
            path = world.path(address)
            boss.cookies.clear()
            boss.cookies.update(session)
            sent = sent_to(address) | typed | {"_selected_action": world.keys.get(address.model, "1")}
            with taken_back():
                answer: Any = boss.get(path) if method == "GET" else boss.post(path, sent)
            text = answer.getvalue().decode(errors="replace")
            looked_at[method] += answer.status_code == (500 if faulty else 200)
            if shown := [number for number, secret in enumerate(secrets) if secret in text]:
                wrong.append(f"{method} {path} → {answer.status_code}: {shown}")

    # Then none of them shows a secret, and there was something to look at
    assert not wrong, "\n".join(wrong)
    assert looked_at["GET"] > 40
    assert looked_at["POST"] > 5


def fault(*args: Any, **options: Any) -> Any:
    raise KeyError("a fault of ours")
