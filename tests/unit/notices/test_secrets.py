"""A destination's URL is a secret: typed into the form, then looked for everywhere."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import reverse

from accounts import credentials as api_keys
from notices.credentials import UrlUnreadable, url_of
from notices.models import Destination, DestinationUrl
from tests.builders import Desk
from tests.unit.accounts.test_secrets import OTHER_MASTER_KEY, everything_stored
from tests.unit.notices.people import Person, asks, look, told
from tests.unit.notices.receiver import Receiver

# Put together here, so that no file of ours holds it.
TOKEN = f"token-{'of-the-canary'}-{97531}"
ADD = "admin:notices_destination_add"


@pytest.fixture
def url(receiver: Receiver) -> str:
    return receiver.url(f"/{TOKEN}")


def added(person: Person, url: str, name: str = "canary") -> Destination:
    answer = person.browser.post(reverse(ADD), {"name": name, "secret_url": url})
    assert answer.status_code == 302, answer.content
    return Destination.objects.get(name=name)


def test_a_url_lies_nowhere_but_in_the_row_of_its_ciphertext(
    desk: Desk, anna: Person, receiver: Receiver, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a destination entered by its form, tried, used, and used when it failed
    caplog.set_level(logging.DEBUG)
    anna.destination.delete()
    destination = added(anna, url)
    page = reverse("admin:notices_destination_send_test", args=[destination.pk])
    anna.browser.post(page, {"_form_submitted": "True"})
    look()
    asks(desk.placed(desk.a_trio()))
    receiver.status = 500
    assert told() == 1
    assert receiver.paths == [f"/{TOKEN}", f"/{TOKEN}"]
    assert url_of(destination.pk) == url

    # Then it is in no row, dump, log or page
    raw = TOKEN.encode()
    for stored in (everything_stored(), dumped(), caplog.text, *pages(anna.browser, destination)):
        assert "canary" in stored or stored == caplog.text
        assert TOKEN not in stored
        assert raw.hex() not in stored


def dumped() -> str:
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    written = [str(serializers.serialize(form, DestinationUrl.objects.all())) for form in ("json", "xml")]
    row = DestinationUrl.objects.get()
    shown = f"{row!r} {row} {row.url!r} {row.url} {vars(row)} {model_to_dict(row)}"
    return "\n".join([out.getvalue(), *written, shown])


def pages(browser: Client, destination: Destination) -> list[str]:
    addresses = [
        reverse("admin:notices_destination_changelist"),
        reverse("admin:notices_destination_change", args=[destination.pk]),
        reverse("admin:notices_destination_replace_url", args=[destination.pk]),
    ]
    found = [browser.get(address) for address in addresses]
    assert [answer.status_code for answer in found] == [200, 200, 200]
    return ["canary" + answer.content.decode() for answer in found]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("https://example.com/{}", "“https” is not among the services"),
        ("jsons://10.0.0.1/{}", "an address that is not public"),
        ("jsons://example.com/{}?verify=no", "The option “verify” is not allowed"),
        ("{}", "This is not an apprise URL"),
    ],
)
def test_a_url_that_is_refused_is_explained_beside_its_field_and_not_shown(
    anna: Person, settings: Any, wrong: str, says: str
) -> None:
    settings.NOTICES_ALSO_TO = ()
    answer = anna.browser.post(reverse(ADD), {"name": "x", "secret_url": wrong.format(TOKEN)})
    page = answer.content.decode()

    assert answer.status_code == 200
    assert says in page
    assert TOKEN not in page
    assert Destination.objects.count() == 1


@pytest.mark.parametrize("place", ["notices.services.url_check", "notices.sender.process._read"])
def test_an_error_page_shows_no_url_even_with_debug(
    anna: Person, settings: Any, monkeypatch: pytest.MonkeyPatch, url: str, place: str
) -> None:
    destination = added(anna, url)
    settings.DEBUG = True

    def fault(*args: Any, **options: Any) -> Any:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(place, fault)
    name = "send_test" if "sender" in place else "replace_url"
    answer = anna.browser.post(
        reverse(f"admin:notices_destination_{name}", args=[destination.pk]),
        {"_form_submitted": "True", "secret_url": url},
    )

    text = answer.content.decode()
    assert answer.status_code == 500
    assert "a fault of ours" in text
    assert TOKEN not in text


def test_a_wrong_master_key_is_a_sentence_and_rotation_moves_urls_too(
    anna: Person, settings: Any, url: str
) -> None:
    # Given a URL under a key that is gone
    destination = added(anna, url)
    right = settings.FERNET_KEYS
    settings.FERNET_KEYS = [OTHER_MASTER_KEY]
    with pytest.raises(UrlUnreadable):
        url_of(destination.pk)
    assert api_keys.rotate().unreadable == tuple(
        f"URL of destination {row.pk}" for row in Destination.objects.order_by("pk")
    )

    # When the old one is put behind it, and everything rotated
    settings.FERNET_KEYS = [OTHER_MASTER_KEY, *right]
    assert api_keys.rotate().rotated == 2

    # Then the old one can go
    settings.FERNET_KEYS = [OTHER_MASTER_KEY]
    assert url_of(destination.pk) == url


def test_json_of_the_commands_holds_no_url(
    anna: Person, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    added(anna, url)
    call_command("send_test_notice", "anna", "--json")

    said = capsys.readouterr().out
    assert [row["sent"] for row in json.loads(said)["destinations"]] == [True, True]
    assert TOKEN not in said
