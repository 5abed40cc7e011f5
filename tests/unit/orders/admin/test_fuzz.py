"""Whatever is typed into an address or a field of the web: an answer, never an error of ours.

``make fuzz`` sends ten times as many requests as the suite. The seed is part of each failure's text.
"""

from __future__ import annotations

import os
import random
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client

from tests.builders import Desk
from tests.unit.orders.admin.every_page import Address, World, every_address, signed_in, taken_back

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "800"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
VALUES = (
    *(
        "",
        " ",
        "0",
        "1",
        "-1",
        "abc",
        "None",
        "on",
        "True",
        "é€😀",
        "x" * 300,
        "x" * 5000,
        "9" * 30,
        "-" + "9" * 30,
    ),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "2147483648",
        "1E+999999",
        "1e-999999",
        "NaN",
        "-Infinity",
        "0x10",
    ),
    *(
        "1.00000000000000001",
        "2026-13-45",
        "0001-01-01",
        "9999-12-31",
        "25:61",
        "a\0b",
        "\0",
        "a\r\nb",
        "\ud800",
    ),
    *(
        "'; DROP TABLE x; --",
        "%s%n",
        "{{ 7 }}",
        "<b>",
        "../../etc/passwd",
        "[1]",
        '{"a": 1}',
        "١٢٣",
        "1,2",
        "_",
        "__",
        "%",
    ),
)
QUERIES = (
    *(
        "q",
        "p",
        "o",
        "e",
        "all",
        "_popup",
        "_to_field",
        "_changelist_filters",
        "life",
        "state",
        "next",
        "seen",
        "was",
    ),
    *(
        "account",
        "symbol",
        "side",
        "account__id__exact",
        "symbol__id__exact",
        "account__environment",
        "id",
        "pk__in",
    ),
    *(
        "app_label",
        "model_name",
        "field_name",
        "term",
        "page",
        "groups",
        "user",
        "is_staff__exact",
        "created_at__gte",
    ),
    *(
        "is_active__exact",
        "date_joined__year",
        "permissions",
        "environment",
        "name",
        "quantity",
        "good_till",
        "s",
    ),
)


class Fields(HTMLParser):
    """The names and values of the fields of a page's forms."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("input", "select", "textarea", "button") and (name := named.get("name")):
            self.found.setdefault(name, named.get("value") or "")


class Fuzzer:
    """Chooses an address, a method and what to send, from a seed."""

    def __init__(self, world: World, boss: User) -> None:
        self.world, self.random = world, random.Random(SEED)
        self.boss, self.nobody = signed_in(boss), Client(raise_request_exception=False)
        self.session = dict(self.boss.cookies)
        self.fields: dict[str, dict[str, str]] = {}

    def one(self, address: Address) -> tuple[str, int]:
        choose = self.random
        values = {}
        if address.parameters and choose.random() < 0.4:
            values = {
                name: quote(self.value(), safe="") or "-"
                for name in address.parameters
                if choose.random() < 0.7
            }
        path = self.world.path(address, **values)
        client = self.nobody if "login" in path or choose.random() < 0.03 else self.boss
        self.boss.cookies.clear()
        self.boss.cookies.update(self.session)
        query = {choose.choice(QUERIES): self.value() for _ in range(choose.choice((0, 0, 1, 2)))}
        if query and choose.random() < 0.5 and (known := self.fields.get(path)):
            query[choose.choice(sorted(known) or ["q"])] = self.value()
        if choose.random() < 0.5:
            return f"GET {path} {query}", client.get(path, query).status_code
        if path not in self.fields and client is self.boss:
            page = Fields()
            answer: Any = client.get(self.world.path(address))  # an export comes in pieces
            page.feed(answer.getvalue().decode(errors="replace"))
            self.fields[path] = page.found
        sent: dict[str, Any] = dict(self.fields.get(path, {})) | {"_form_submitted": "True"}
        sent.pop("csrfmiddlewaretoken", None)
        for name in choose.sample(sorted(sent), k=min(len(sent), choose.choice((0, 1, 1, 2, 5)))):
            sent[name] = self.value() if choose.random() < 0.9 else [self.value(), self.value()]
        if choose.random() < 0.3:
            sent |= {"action": choose.choice(ACTIONS), "_selected_action": self.value(), "confirmed": "yes"}
        if "login" in path:
            sent |= {"username": self.value(), "password": self.value()}
        headers = {"HX-Request": "true"} if choose.random() < 0.3 else {}
        if query:
            path += "?" + "&".join(
                f"{name}={quote(text.encode('utf-8', 'surrogatepass'))}" for name, text in query.items()
            )
        return f"POST {path} {sent}", client.post(path, sent, headers=headers).status_code

    def value(self) -> str:
        if self.random.random() < 0.15:
            return self.random.choice(list(self.world.keys.values()))
        found = self.random.choice(VALUES)
        return found.encode("utf-8", "replace").decode()


ACTIONS = (
    "delete_selected",
    "place_selected",
    "cancel_selected",
    "close_selected",
    "refresh_selected",
    "abc",
)


def test_nothing_that_is_typed_makes_an_error_of_ours(desk: Desk, caplog: Any) -> None:
    caplog.set_level("CRITICAL")
    fuzzer = Fuzzer(World.made(desk), User.objects.create_superuser("boss"))
    addresses = every_address()
    seen, errors = 0, []
    while seen < REQUESTS:
        for address in addresses:
            with taken_back():
                what, status = fuzzer.one(address)
            seen += 1
            if status >= 500 and not (address.name == "healthz" and status == 503):
                errors.append(f"{status}: {what[:400]}")
    assert not errors, f"{len(errors)} of {seen} (FUZZ_SEED={SEED}):\n" + "\n".join(errors[:40])


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/admin/accounts/exchangeaccount/abc/history/", None, 404),
        ("/admin/accounts/exchangeaccount/1/history/abc/", None, 404),
        ("/admin/accounts/exchangeaccount/1,2/change/", None, 302),
        ("/admin/accounts/exchangeaccount/_/archive/", None, 403),
        ("/admin/accounts/exchangeaccount/%00/unarchive/", None, 403),
        ("/admin/orders/risklimit/add/?daily_loss=NaN", None, 200),
        ("/admin/signals/sizingrule/add/?value=%3F&slippage=a", None, 200),
        ("/admin/notices/pricealert/add/?level=[1]", None, 200),
        ("/admin/orders/trioorder/panic/?on=%00", None, 400),
        ("/admin/otp_static/staticdevice/?name=%00", {"q": "", "action": ""}, 400),
        ("/admin/accounts/symbolsetting/1/change/?_to_field=", None, 400),
        ("/admin/orders/trioorder/panic/", {"on": "\0", "seen": "%", "typed": "0"}, 404),
        ("/admin/accounts/exchangeaccount/99999999999999999999/history/", None, 404),
        ("/admin/auth/user/abc/password/", None, 404),
        ("/admin/r/1/1/", None, 404),
        ("/admin/otp_totp/totpdevice/1/config/", None, 403),
        ("/admin/otp_totp/totpdevice/1/qrcode/", None, 403),
        ("/admin/otp_totp/totpdevice/7/config/", None, 403),
        ("/admin/otp_totp/totpdevice/abc/history/", None, 404),
        ("/admin/orders/trioorder/add/?symbol=abc", None, 400),
        ("/admin/orders/trioorder/add/?good_till=2030-01-01", None, 400),
        ("/admin/orders/trioorder/add/", {"symbol": "abc", "account": "1"}, 400),
        ("/admin/orders/trioorder/add/", {"symbol": "1", "account": "9" * 30}, 400),
        ("/admin/auth/user/add/", {"username": "x", "groups": "abc"}, 400),
        ("/admin/orders/trioorder/", {"action": "place_selected", "_selected_action": "abc"}, 404),
        ("/admin/auth/user/", {"action": "delete_selected", "_selected_action": "1\0"}, 404),
        ("/admin/nowhere/", None, 404),
    ],
)
def test_what_names_no_row_is_refused_with_a_sentence(
    transactional_db: None, path: str, sent: dict[str, str] | None, status: int
) -> None:
    boss = signed_in(User.objects.create_superuser("boss"))

    answer = boss.get(path) if sent is None else boss.post(path, sent)

    assert answer.status_code == status
    assert answer.content.decode().partition("<p>")[2][:1] in "“ATHY"


@pytest.mark.parametrize("name", ["a\0b", "", "x" * 150])
def test_no_name_breaks_the_login(transactional_db: None, name: str) -> None:
    answer = Client().post("/admin/login/", {"username": name, "password": "x" * 5000})

    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["x" * 151, "x" * 300, "é😀" * 200])
def test_a_name_that_is_too_long_to_be_anybodys_is_refused_with_a_sentence(
    transactional_db: None, name: str
) -> None:
    answer = Client().post("/admin/login/", {"username": name, "password": "x" * 5000})

    assert answer.status_code == 400
    assert "A user name has at most 150 characters" in answer.content.decode()
    assert not AccessAttempt.objects.exists()


def test_every_address_is_known() -> None:
    names = {address.name for address in every_address()}
    assert {
        "healthz",
        "orders_trioorder_place",
        "accounts_exchangeaccount_simple_history",
        "app_list",
    } <= names
