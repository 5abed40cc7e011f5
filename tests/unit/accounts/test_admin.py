"""The accounts' pages: secrets write-only, errors in the form, every action a POST behind a dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts import gateways
from accounts.models import Credential, ExchangeAccount, SymbolSetting
from accounts.symbol_settings import symbol_setting_want
from tests.unit.accounts.conftest import KEY, SECRET
from tests.unit.accounts.venue import Venue, alias_of

pytestmark = pytest.mark.django_db
Add = Callable[..., ExchangeAccount]

LIST = "admin:accounts_exchangeaccount_changelist"
ADD = "admin:accounts_exchangeaccount_add"
CHANGE = "admin:accounts_exchangeaccount_change"
ACTIONS = ("test", "replace_credentials", "want_settings", "apply_settings", "read_settings")
SUBMITTED = {"_form_submitted": "True"}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def operator() -> Client:
    """A superuser's browser that insists on CSRF tokens being asked for where they should be."""
    user = User.objects.create_superuser("operator", password="x")
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def action_url(name: str, account: ExchangeAccount) -> str:
    return reverse(f"admin:accounts_exchangeaccount_{name}", args=[account.pk])


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def new_account(**changes: str) -> dict[str, str]:
    given = {"name": "desk", "environment": "TESTNET", "api_key": KEY, "new_secret": SECRET, "notes": ""}
    return given | changes


def test_adding_an_account_checks_it_and_shows_a_fingerprint(operator: Client, venue: Venue) -> None:
    # Given an account on the exchange
    venue.customer(KEY, SECRET)
    page = operator.get(reverse(ADD)).content.decode()
    assert 'autocomplete="new-password"' in page

    # When it is entered in the form
    response = operator.post(reverse(ADD), new_account())

    # Then it is there, and no page shows more of its key than the fingerprint
    assert response.status_code == 302
    account = ExchangeAccount.objects.get()
    assert account.history.count() == 1
    for url in (reverse(LIST), reverse(CHANGE, args=[account.pk])):
        page = operator.get(url).content.decode()
        assert account.key_fingerprint in page
        assert KEY not in page
        assert SECRET not in page


@pytest.mark.parametrize(
    ("prepare", "changes", "words"),
    [
        ({}, {"new_secret": "wrong"}, "does not belong to this API key"),
        ({}, {"api_key": "nobodys"}, "refused the API key"),
        ({}, {"name": ""}, "This field is required"),
        ({}, {"api_key": "two words"}, "not a valid API key"),
        ({"withdrawals": True}, {}, "may withdraw"),
        ({"silent": True}, {}, "does not answer at"),
    ],
)
def test_a_refusal_is_an_error_of_the_form_and_stores_nothing(
    operator: Client, venue: Venue, prepare: dict[str, Any], changes: dict[str, str], words: str
) -> None:
    venue.silent = prepare.pop("silent", False)
    venue.customer(KEY, SECRET, **prepare)
    response = operator.post(reverse(ADD), new_account(**changes))
    assert response.status_code == 200
    page = response.content.decode()
    assert words in page
    assert changes.get("new_secret", SECRET) not in page, "a secret is never rendered, not even a wrong one"
    assert not ExchangeAccount.objects.exists()
    assert not Credential.objects.exists()


def test_the_same_account_twice_is_an_error_of_the_form(operator: Client, add: Add, venue: Venue) -> None:
    add()
    page = operator.post(reverse(ADD), new_account(name="again")).content.decode()
    assert "already used by account “desk”" in page
    page = operator.post(reverse(ADD), new_account(api_key="other")).content.decode()
    assert "already" in page
    venue.customer("second-key", "second-secret", alias=alias_of(KEY))
    second = new_account(name="again", api_key="second-key", new_secret="second-secret")
    page = operator.post(reverse(ADD), second).content.decode()
    assert "same exchange account as “desk”" in page
    assert ExchangeAccount.objects.count() == 1


def test_what_was_read_from_the_exchange_cannot_be_edited(operator: Client, add: Add) -> None:
    account = add()
    url = reverse(CHANGE, args=[account.pk])
    sent = {
        "name": "desk two",
        "is_active": "",
        "notes": "n",
        "environment": "LIVE",
        "position_mode": "HEDGE",
    }
    response = operator.post(url, sent | _empty_inline())
    assert response.status_code == 302
    account.refresh_from_db()
    assert (account.name, account.is_active) == ("desk two", False)
    assert (account.environment, account.position_mode) == ("TESTNET", "ONE_WAY")

    # And accounts are switched off, never deleted
    assert (
        operator.post(reverse("admin:accounts_exchangeaccount_delete", args=[account.pk])).status_code == 403
    )
    assert ExchangeAccount.objects.count() == 1


@pytest.mark.parametrize("name", ACTIONS)
def test_a_get_of_an_action_changes_and_asks_nothing(
    operator: Client, add: Add, venue: Venue, name: str
) -> None:
    account = add()
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type=None)
    before, asked = _everything(), len(venue.requests)
    response = operator.get(action_url(name, account) + "?_form_submitted=True&symbol=BTCUSDT&leverage=3")
    assert response.status_code == 200
    assert '<form method="post"' in response.content.decode()
    assert (_everything(), len(venue.requests)) == (before, asked)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_needs_a_csrf_token_and_the_permission(add: Add, venue: Venue, name: str) -> None:
    account = add()
    asked = len(venue.requests)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(
        User.objects.create_superuser("strict"), backend="django.contrib.auth.backends.ModelBackend"
    )
    assert strict.post(action_url(name, account), SUBMITTED).status_code == 403

    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_exchangeaccount"))
    looking = Client()
    looking.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
    assert looking.get(reverse(LIST)).status_code == 200
    assert looking.post(action_url(name, account), SUBMITTED).status_code == 403
    assert len(venue.requests) == asked


def test_testing_the_connection_tells_permissions_balance_mode_and_offset(
    operator: Client, add: Add, venue: Venue
) -> None:
    account = add()
    response = operator.post(action_url("test", account), SUBMITTED, headers=HTMX)
    assert response.headers["HX-Redirect"] == reverse(CHANGE, args=[account.pk])
    (sentence,) = told(response)
    for word in ("no withdrawals", "10000.00 USDT", "one-way", "Clock offset"):
        assert word in sentence

    venue.silent = True
    response = operator.post(action_url("test", account), SUBMITTED)
    assert "does not answer" in told(response)[-1]


def test_replacing_credentials_never_shows_what_was_typed(operator: Client, add: Add, venue: Venue) -> None:
    account = add()
    venue.customer("new-key", "new-secret-0123", alias=alias_of(KEY))
    url = action_url("replace_credentials", account)

    # An incomplete form comes back without the secret
    page = operator.post(url, SUBMITTED | {"new_secret": "new-secret-0123"}).content.decode()
    assert "new-secret-0123" not in page

    # A wrong one is refused in a sentence, a right one is taken
    response = operator.post(url, SUBMITTED | {"api_key": "new-key", "new_secret": "nonsense"})
    assert "does not belong" in told(response)[-1]
    response = operator.post(url, SUBMITTED | {"api_key": "new-key", "new_secret": "new-secret-0123"})
    account.refresh_from_db()
    assert account.key_fingerprint in told(response)[-1]
    assert Credential.objects.get().api_key.decrypt() == "new-key"


def test_leverage_and_margin_are_wanted_applied_and_shown(operator: Client, add: Add, venue: Venue) -> None:
    account = add()
    wish = {"symbol": "btcusdt", "leverage": "5", "margin_type": "ISOLATED"}
    response = operator.post(action_url("want_settings", account), SUBMITTED | wish)
    assert told(response)[-1] == "BTCUSDT: leverage 5, margin type ISOLATED."
    page = operator.get(reverse(CHANGE, args=[account.pk])).content.decode()
    assert "BTCUSDT" in page
    assert "ETHUSDT" not in page, "what is only read does not crowd the page"

    venue.customers[KEY].settings["BTCUSDT"]["leverage"] = 9
    response = operator.post(action_url("read_settings", account), SUBMITTED)
    assert "settings of 3 symbols read" in told(response)[-1]
    response = operator.post(action_url("apply_settings", account), SUBMITTED)
    assert "1 set as wanted, 0 refused" in told(response)[-1]
    assert venue.customers[KEY].settings["BTCUSDT"]["leverage"] == 5

    page = operator.post(action_url("want_settings", account), SUBMITTED | {"symbol": "X"}).content.decode()
    assert "Enter a leverage, a margin type, or both" in page
    assert operator.get(reverse("admin:accounts_symbolsetting_changelist")).status_code == 200


def test_a_wish_can_be_changed_in_the_table(operator: Client, add: Add) -> None:
    account = add()
    row = symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type=None)
    sent = {
        "name": "desk",
        "is_active": "on",
        "notes": "",
        "symbol_settings-TOTAL_FORMS": "1",
        "symbol_settings-INITIAL_FORMS": "1",
        "symbol_settings-0-id": str(row.pk),
        "symbol_settings-0-account": str(account.pk),
        "symbol_settings-0-wanted_leverage": "7",
        "symbol_settings-0-wanted_margin_type": "",
    }
    assert operator.post(reverse(CHANGE, args=[account.pk]), sent).status_code == 302
    row.refresh_from_db()
    assert (row.wanted_leverage, row.wanted_margin_type) == (7, None)


def test_a_wrong_master_key_breaks_no_page(operator: Client, add: Add, settings: Any) -> None:
    # Given an account whose credentials no longer decrypt
    account = add()
    account.notes = "edited"
    account.save()
    gateways.forget(account.pk)
    settings.FERNET_KEYS = ["another-master-key-of-more-than-32-characters"]

    # Then every page that shows the account, or lists it for choosing, still works
    history = reverse("admin:accounts_exchangeaccount_history", args=[account.pk])
    for url in (reverse(LIST), reverse(CHANGE, args=[account.pk]), reverse(ADD), history):
        assert operator.get(url).status_code == 200, url
    assert operator.get(reverse("admin:accounts_symbolsetting_changelist")).status_code == 200
    for entry in ExchangeAccount._meta.related_objects:
        try:
            url = reverse(
                f"admin:{entry.related_model._meta.app_label}_{entry.related_model._meta.model_name}_changelist"
            )
        except Exception:
            continue
        assert operator.get(url).status_code in (200, 403), url

    # And only using the key says what is wrong
    response = operator.post(action_url("test", account), SUBMITTED)
    assert "CREDENTIALS_MASTER_KEY" in told(response)[-1]


def test_credentials_have_no_page_of_their_own() -> None:
    from django.contrib import admin

    assert Credential not in admin.site._registry


def _empty_inline() -> dict[str, str]:
    return {"symbol_settings-TOTAL_FORMS": "0", "symbol_settings-INITIAL_FORMS": "0"}


def _everything() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (ExchangeAccount, SymbolSetting)] + [
        list(Credential.objects.values_list("account_id", "updated_at"))
    ]
