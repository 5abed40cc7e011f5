"""Entering, testing and replacing accounts: each refusal is one sentence and leaves the database as it was."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts import endpoints, gateways
from accounts.errors import (
    AccountExists,
    AccountsError,
    AccountUnsuitable,
    ClockOff,
    CredentialsUnreadable,
    ExchangeUnreachable,
    InvalidAccount,
    KeyRefused,
)
from accounts.models import Credential, ExchangeAccount, SymbolSetting
from accounts.services import (
    account_add,
    account_prepare,
    account_provision,
    account_replace_credentials,
    account_store,
    account_test,
    paper_account_ensure,
    position_mode_problem,
)
from accounts.symbol_settings import symbol_setting_problem
from tests.unit.accounts.conftest import KEY, SECRET
from tests.unit.accounts.venue import Venue, alias_of

pytestmark = pytest.mark.django_db
Add = Callable[..., ExchangeAccount]


def nothing_is_stored() -> bool:
    return not (
        ExchangeAccount.objects.exists() or Credential.objects.exists() or SymbolSetting.objects.exists()
    )


def test_an_account_is_read_from_the_exchange_and_kept(add: Add, venue: Venue) -> None:
    # Given an account in hedge mode on the exchange
    venue.customer(KEY, SECRET, hedge=True, alias="SgsR")

    # When it is entered
    account = add()

    # Then we know what the exchange said, and its settings per symbol
    account.refresh_from_db()
    assert (account.position_mode, account.account_alias, account.can_trade) == ("HEDGE", "SgsR", True)
    assert account.permissions_note == "reading, futures, no withdrawals, bound to addresses"
    assert account.permissions["withdrawals"] is False
    assert len(account.key_fingerprint) == 8
    assert account.last_checked_at is not None
    assert SymbolSetting.objects.filter(account=account, leverage=20, margin_type="CROSSED").count() == 3

    # And its key opens only through the gateway
    assert gateways.exchange_for(account.pk) is gateways.exchange_for(account.pk)
    assert SECRET not in repr(gateways.exchange_for(account.pk))


def test_without_a_permissions_page_the_note_says_so(add: Add, venue: Venue) -> None:
    venue.audits = False
    account = add()
    assert account.permissions_note == "not available here"
    assert account.permissions == {}


def test_on_live_a_failing_permissions_audit_refuses_the_account(
    add: Add, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = venue.private

    def broken(method: str, path: str, params: Any, customer: Any) -> tuple[int, Any]:
        return (500, {}) if path.startswith("/sapi") else honest(method, path, params, customer)

    monkeypatch.setattr(venue, "private", broken)
    assert add(name="test").permissions_note == "not available here"
    ExchangeAccount.objects.all().delete()
    with pytest.raises(ExchangeUnreachable):
        add(environment="LIVE")
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"name": "  "}, "needs a name"),
        ({"name": "x" * 65}, "65 characters, at most 64"),
        ({"name": "de\x00sk"}, "printable"),
        ({"environment": "MOON"}, "choose one of PAPER, TESTNET, LIVE"),
        ({"api_key": ""}, "API key is missing"),
        ({"api_secret": " "}, "API secret is missing"),
        ({"api_secret": "-----BEGIN PRIVATE KEY-----\nabc"}, "HMAC keys only"),
        ({"api_key": "same-word", "api_secret": "same-word"}, "are the same"),
        ({"balance": Decimal(5)}, "for PAPER only"),
    ],
)
def test_bad_input_is_refused_before_anybody_is_asked(
    add: Add, venue: Venue, wishes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidAccount, match=words):
        add(**wishes)
    assert venue.requests == []
    assert nothing_is_stored()


def test_an_unreachable_exchange_is_named(add: Add, venue: Venue) -> None:
    venue.silent = True
    with pytest.raises(ExchangeUnreachable, match=r"http://exchange\.invalid.*BINANCE_TESTNET_REST_URL"):
        add()
    with pytest.raises(ExchangeUnreachable, match="make demo"):
        add(environment="PAPER")
    assert nothing_is_stored()


def test_a_wrong_secret_is_told_apart_from_a_wrong_key(add: Add, venue: Venue) -> None:
    venue.customer(KEY, SECRET)
    with pytest.raises(KeyRefused, match=r"-1022.*secret does not belong") as wrong_secret:
        add(api_secret="not-the-secret")
    assert wrong_secret.value.field == "new_secret"
    with pytest.raises(KeyRefused, match=r"-2015.*Testnet") as wrong_key:
        account_add(name="desk", environment="TESTNET", api_key="nobodys", api_secret=SECRET)
    assert wrong_key.value.field == "api_key"
    assert nothing_is_stored()


def test_no_error_tells_key_or_secret(add: Add, venue: Venue) -> None:
    venue.customer(KEY, "another")
    with pytest.raises(AccountsError) as refused:
        add()
    told = repr(refused.value) + repr(refused.value.__cause__) + refused.value.sentence
    assert KEY not in told
    assert SECRET not in told


def test_a_clock_far_off_is_told_as_such(add: Add, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an exchange whose time page and judgement disagree, as behind a caching proxy
    monkeypatch.setattr("accounts.clock.gateways.public_exchange", lambda environment: _Slow())
    with pytest.raises(ClockOff, match=r"-1021.*clock"):
        add()
    assert nothing_is_stored()


class _Slow:
    def server_time(self) -> int:
        return 1_600_000_000_000


def test_an_exchange_clock_ahead_of_ours_is_no_obstacle(add: Add, venue: Venue) -> None:
    venue.clock_ahead = 90_000
    check = account_test(add())
    assert 89_000 < check.probe.clock.offset_ms < 91_000
    assert "Clock offset: +" in check.sentence


def test_a_key_that_may_withdraw_is_refused(add: Add, venue: Venue) -> None:
    venue.customer(KEY, SECRET, withdrawals=True)
    with pytest.raises(AccountUnsuitable, match="may withdraw"):
        add()
    assert nothing_is_stored()


def test_multi_assets_mode_is_taken_as_it_is(add: Add, venue: Venue) -> None:
    venue.customer(KEY, SECRET, multi_assets=True)
    account = add()
    assert account.multi_assets_since is not None
    assert account.can_trade
    assert "multi-assets mode" in account_test(account).sentence


def test_one_account_of_the_exchange_is_entered_once(add: Add, venue: Venue) -> None:
    # Given the desk's account
    add()

    # Then neither its name, nor its key, nor another key of the same account is taken a second time
    with pytest.raises(AccountExists, match="named “desk” already exists"):
        add(api_key="other-key", api_secret="other-secret")
    with pytest.raises(AccountExists, match="already used by account “desk”"):
        add(name="again")
    venue.customer("second-key", "second-secret", alias=alias_of(KEY))
    with pytest.raises(AccountExists, match="same exchange account as “desk”"):
        add(name="again", api_key="second-key", api_secret="second-secret")
    assert ExchangeAccount.objects.count() == Credential.objects.count() == 1

    # But the same key in another environment is another account
    assert add(name="real", environment="LIVE").pk


def test_two_people_entering_the_same_account_at_once_leave_one(venue: Venue) -> None:
    # Given two people whose input passed every check before either was stored
    venue.customer(KEY, SECRET)
    ours, theirs = (
        account_prepare(name=name, environment="TESTNET", api_key=KEY, api_secret=SECRET)
        for name in ("ours", "theirs")
    )

    # When both are stored, then the second is told whose it is
    account_store(theirs)
    with pytest.raises(AccountExists, match="used by account “theirs”"):
        account_store(ours)
    assert [account.name for account in ExchangeAccount.objects.all()] == ["theirs"]
    assert Credential.objects.count() == 1


def test_a_paper_account_is_made_known_to_our_simulator_first(add: Add, venue: Venue) -> None:
    venue.simulates = True
    account = add(environment="PAPER", balance=Decimal("2500.50"), position_mode="HEDGE")
    assert account.position_mode == "HEDGE"
    assert venue.customers[KEY].balance == "2500.50"
    assert venue.requests[0] == ("POST", "/sim/accounts")

    # And made known again to a simulator that has forgotten everybody
    venue.customers.clear()
    assert account_provision(account) is True
    assert not account_test(account).problems


def test_a_paper_account_is_made_once_and_found_again(venue: Venue) -> None:
    # Given our simulator
    venue.simulates = True

    # When the demo's account is asked for, and asked for again after the simulator forgot everybody
    account = paper_account_ensure(name="demo", position_mode="HEDGE")
    venue.customers.clear()
    again = paper_account_ensure(name="demo")

    # Then it is the same account with the same key, and it works
    assert again == account
    assert not account_test(again).problems
    assert again.position_mode == "HEDGE"


def test_a_name_taken_elsewhere_is_no_paper_account(add: Add) -> None:
    add(name="demo")
    with pytest.raises(InvalidAccount, match="is a TESTNET account"):
        paper_account_ensure(name="demo")


def test_something_that_is_no_exchange_is_told_as_such(add: Add, venue: Venue) -> None:
    venue.stranger = True
    with pytest.raises(
        ExchangeUnreachable, match=r"does not answer like the exchange .*BINANCE_TESTNET_REST_URL"
    ):
        add()
    assert nothing_is_stored()


def test_an_account_that_may_not_trade_is_kept_and_marked(add: Add, venue: Venue) -> None:
    venue.customer(KEY, SECRET, can_trade=False)
    account = add()
    assert account.can_trade is False
    assert "does not let this account" in account_test(account).problems[0]


def test_a_paper_key_known_with_another_secret_is_refused(add: Add, venue: Venue) -> None:
    venue.simulates = True
    venue.customer(KEY, "the-other-secret")
    with pytest.raises(KeyRefused, match="another secret"):
        add(environment="PAPER")
    assert nothing_is_stored()


def test_a_paper_address_that_is_not_our_simulator_is_used_as_it_is(add: Add, venue: Venue) -> None:
    assert add(environment="PAPER").pk
    assert ("POST", "/sim/accounts") in venue.requests


def test_a_secret_is_never_handed_to_a_paper_address_elsewhere(venue: Venue, settings: Any) -> None:
    from accounts import simulator_provisioning

    endpoints.use_transport("PAPER", None)
    assert simulator_provisioning.provision(name="desk", api_key=KEY, api_secret=SECRET) is False
    assert venue.requests == []


def test_testing_the_connection_reports_and_brings_the_row_up_to_date(add: Add, venue: Venue) -> None:
    # Given an account whose mode was switched on the exchange since
    account = add()
    venue.customers[KEY].hedge = True

    # When its connection is tested
    check = account_test(account)

    # Then the sentence has permissions, balance, mode and offset, and the row follows
    assert "no withdrawals" in check.sentence
    assert "Balance: 10000.00 USDT" in check.sentence
    assert "Position mode: hedge" in check.sentence
    assert "here it was ONE_WAY" in check.remarks[0]
    assert ExchangeAccount.objects.get().position_mode == "HEDGE"


def test_a_key_that_was_given_withdrawals_since_may_trade_no_more(add: Add, venue: Venue) -> None:
    account = add()
    venue.customers[KEY].withdrawals = True
    check = account_test(account)
    assert check.problems
    assert "may withdraw" in check.problems[0]
    assert ExchangeAccount.objects.get().can_trade is False


def test_replacing_credentials_takes_another_key_of_the_same_account_only(add: Add, venue: Venue) -> None:
    account = add()
    before = (account.key_hash, account.key_fingerprint)
    client = gateways.exchange_for(account.pk)

    # A key of another account is refused, and nothing changes
    venue.customer("foreign-key", "foreign-secret", alias="somebody-else")
    with pytest.raises(AccountExists, match="another exchange account"):
        account_replace_credentials(account=account, api_key="foreign-key", api_secret="foreign-secret")
    account.refresh_from_db()
    assert (account.key_hash, account.key_fingerprint) == before
    assert gateways.exchange_for(account.pk) is client

    # Another key of this account is taken, and used from now on
    venue.customer("new-key", "new-secret", alias=alias_of(KEY))
    del venue.customers[KEY]
    account_replace_credentials(account=account, api_key="new-key", api_secret="new-secret")
    assert account.key_fingerprint != before[1]
    assert not account_test(account).problems
    assert gateways.exchange_for(account.pk) is not client


def test_a_position_side_must_fit_the_accounts_mode(add: Add) -> None:
    account = add()
    assert position_mode_problem(account, "BOTH") is None
    assert "has no LONG side" in str(position_mode_problem(account, "LONG"))
    account.position_mode = "HEDGE"
    assert position_mode_problem(account, "SHORT") is None
    assert "name the position side" in str(position_mode_problem(account, "BOTH"))


def test_an_account_without_credentials_says_so(add: Add) -> None:
    account = add()
    Credential.objects.all().delete()
    with pytest.raises(CredentialsUnreadable, match="Replace credentials"):
        gateways.exchange_for(account.pk)
    assert symbol_setting_problem(account, "BTCUSDT") is None
