"""P7: secrets stay secret, and a wrong master key breaks only the moment of use."""

from __future__ import annotations

import copy
import io
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.db import connection
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import reverse
from fernet_fields import hkdf

from accounts import credentials, gateways
from accounts.errors import CredentialsUnreadable
from accounts.models import Credential, ExchangeAccount
from accounts.services import account_replace_credentials, account_test
from exchange.secret import HIDDEN, Secret
from tests.unit.accounts.conftest import KEY, SECRET
from tests.unit.accounts.venue import Venue, alias_of

pytestmark = pytest.mark.django_db
Add = Callable[..., ExchangeAccount]
OTHER_MASTER_KEY = "another-master-key-of-more-than-32-characters"


def everything_stored() -> str:
    """Every row of every table, as PostgreSQL itself would dump it."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += [str(bytes(c) if isinstance(c, memoryview) else c) for row in cursor for c in row]
    return "\n".join(rows)


def test_the_database_holds_neither_key_nor_secret_in_clear(add: Add) -> None:
    account = add()
    account.notes = "edited, so that there is history"
    account.save()
    assert ExchangeAccount.history.count() == 2
    stored = everything_stored()
    assert account.key_fingerprint in stored
    assert KEY not in stored
    assert SECRET not in stored
    assert KEY.encode().hex() not in stored
    assert SECRET.encode().hex() not in stored


@pytest.mark.parametrize("form", ["json", "jsonl", "xml", "python"])
def test_no_serializer_writes_a_secret(add: Add, form: str) -> None:
    add()
    written = str(serializers.serialize(form, Credential.objects.all()))
    assert KEY not in written
    assert SECRET not in written


@pytest.mark.parametrize("options", [{}, {"use_base_manager": True}])
def test_dumpdata_holds_no_secret_even_under_a_wrong_master_key(
    add: Add, settings: Any, options: dict[str, Any]
) -> None:
    add()
    for keys in (settings.FERNET_KEYS, [OTHER_MASTER_KEY]):
        settings.FERNET_KEYS = keys
        out = io.StringIO()
        call_command("dumpdata", stdout=out, **options)
        dumped = out.getvalue()
        assert '"desk"' in dumped
        assert KEY not in dumped
        assert SECRET not in dumped


def test_a_loaded_dump_asks_for_its_keys_anew(add: Add, tmp_path: Any) -> None:
    # Given a dump, loaded into an empty database
    account = add()
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "accounts", output=str(dump))
    ExchangeAccount.objects.all().delete()
    call_command("loaddata", str(dump), verbosity=0)
    gateways.forget(account.pk)

    # Then using the account says what is missing
    with pytest.raises(CredentialsUnreadable, match="enter it again"):
        gateways.exchange_for(account.pk)


def test_no_repr_tells_a_secret(add: Add) -> None:
    add()
    credential = Credential.objects.get()
    told = f"{credential!r} {credential} {credential.api_secret!r} {credential.api_key} {vars(credential)}"
    assert SECRET not in told + json.dumps(model_to_dict(credential))
    assert KEY not in told + json.dumps(model_to_dict(credential))
    assert credential.api_secret.decrypt() == SECRET


def test_saving_an_untouched_credential_keeps_it(add: Add) -> None:
    add()
    credential = Credential.objects.get()
    credential.save()
    assert Credential.objects.get().api_key.decrypt() == KEY


def test_a_wrong_master_key_is_one_sentence_at_the_moment_of_use(
    add: Add, venue: Venue, settings: Any
) -> None:
    # Given an account stored under a key that is gone
    account = add()
    gateways.forget(account.pk)
    right = settings.FERNET_KEYS
    settings.FERNET_KEYS = [OTHER_MASTER_KEY]

    # Then rows can still be fetched and joined
    assert Credential.objects.select_related("account").get().account == account
    assert ExchangeAccount.objects.select_related("credential").get().credential.account_id == account.pk

    # And only using the key says what is wrong and what to do
    with pytest.raises(CredentialsUnreadable, match="CREDENTIALS_MASTER_KEY is not the one") as refused:
        gateways.exchange_for(account.pk)
    assert "“desk”" in refused.value.sentence

    # And either way out works: entering the credentials anew …
    account_replace_credentials(account=account, api_key=KEY, api_secret=SECRET)
    assert not account_test(account).problems
    # … or putting the old key back
    settings.FERNET_KEYS = [*right, OTHER_MASTER_KEY]
    assert not account_test(account).problems


def test_rotation_moves_everything_to_the_first_key_and_may_be_repeated(add: Add, settings: Any) -> None:
    # Given two accounts under the old key, and a new key in front
    add()
    add(name="second", api_key="second-key", api_secret="second-secret")
    old = settings.FERNET_KEYS[0]
    settings.FERNET_KEYS = [OTHER_MASTER_KEY, old]

    # When rotated twice
    told: list[tuple[int, int]] = []
    first = credentials.rotate(lambda done, total: told.append((done, total)))
    second = credentials.rotate()

    # Then the first did the work, the second found nothing to do, and the old key can go
    assert (first.rotated, first.already, first.unreadable) == (2, 0, ())
    assert (second.rotated, second.already) == (0, 2)
    assert told == [(1, 2), (2, 2)]
    settings.FERNET_KEYS = [OTHER_MASTER_KEY]
    assert {c.api_secret.decrypt() for c in Credential.objects.all()} == {SECRET, "second-secret"}


def test_rotation_names_what_no_key_opens_and_leaves_it(add: Add, settings: Any) -> None:
    add()
    before = bytes(Credential.objects.get().api_key.ciphertext)
    settings.FERNET_KEYS = [OTHER_MASTER_KEY]
    assert credentials.rotate().unreadable == ("desk",)
    assert bytes(Credential.objects.get().api_key.ciphertext) == before


def test_a_client_is_made_anew_only_when_what_it_was_made_from_changed(add: Add, settings: Any) -> None:
    account = add()
    client = gateways.exchange_for(account.pk)
    assert gateways.exchange_for(account.pk) is client
    gateways.forget(account.pk)
    again = gateways.exchange_for(account.pk)
    assert again is not client
    settings.BINANCE_TIMEOUT_MS = 1234
    assert gateways.exchange_for(account.pk) is not again


# --- nothing prints one -------------------------------------------------------------------------


def test_a_secret_prints_as_dots_and_is_neither_pickled_nor_copied() -> None:
    secret = Secret(SECRET)

    shown = f"{secret} {secret!r} {secret!s:>10} {[secret]} " + "{}".format(secret)  # noqa: UP032

    assert SECRET not in shown
    assert HIDDEN in shown
    assert SECRET not in json.dumps(repr(secret)) + str(traceback_of(secret))
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            refused(secret)
    assert (secret.reveal(), type(secret.reveal()), secret == SECRET) == (SECRET, str, True)


def traceback_of(secret: Secret) -> str:
    try:
        refuse(secret)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return ""


def refuse(key: Secret) -> None:
    raise ValueError(f"no such key: {key}")


def test_what_is_stored_is_sealed_under_the_configured_key(add: Add, settings: Any) -> None:
    add()
    plain = Fernet(hkdf.derive_fernet_key(str(settings.FERNET_KEYS[0])))

    stored = Credential.objects.get()

    assert plain.decrypt(stored.api_secret.ciphertext).decode() == SECRET
    assert isinstance(stored.api_secret.decrypt(), Secret)
    assert not [key for key in settings.FERNET_KEYS if HIDDEN in key]
    assert f"{settings.CREDENTIALS_MASTER_KEY}" == f"[{HIDDEN}]"


PLACES = (
    "accounts.services._suitable",
    "accounts.services.settings_store",
    "accounts.simulator_provisioning._post",
    "accounts.services.key_hash",
    "accounts.fields.revealed",
    "exchange.binance.http.Wire._answer",
    "exchange.binance.http.Wire._outgoing",
    "exchange.binance.mounted.Mounted.send",
    "tests.unit.accounts.venue.Venue.send",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", ["add", "replace"])
def test_an_error_page_shows_no_secret_even_with_debug(
    add: Add, venue: Venue, settings: Any, monkeypatch: pytest.MonkeyPatch, place: str, what: str
) -> None:
    # Given a developer's installation, and a fault of ours while a key is added or replaced
    settings.DEBUG = True
    account = add(name="first") if what == "replace" else None
    # Made here, for the page shows the lines of this file too.
    key, secret = (f"typed-{what}-{6789}" for what in ("key", "secret"))
    venue.customer(key, secret, alias=alias_of(KEY) if account else "")

    def fault(*args: Any, **options: Any) -> Any:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(place, fault)
    boss = Client(raise_request_exception=False)
    boss.force_login(
        User.objects.create_superuser("boss"), backend="django.contrib.auth.backends.ModelBackend"
    )
    typed = {"api_key": key, "new_secret": secret}
    if account is None:
        environment = "PAPER" if "provisioning" in place else "TESTNET"
        url, typed = (
            reverse("admin:accounts_exchangeaccount_add"),
            typed | {"name": "desk", "environment": environment},
        )
    else:
        url = reverse("admin:accounts_exchangeaccount_replace_credentials", args=[account.pk])
        typed |= {"_form_submitted": "True"}

    # When it is sent
    page = boss.post(url, typed)

    # Then the page tells of the fault, and neither of key nor secret nor master key
    text = page.content.decode()
    if page.status_code == 500:
        assert "a fault of ours" in text
        assert key not in text
    assert secret not in text
    for master_key in settings.FERNET_KEYS:
        assert master_key not in text
