"""An installation of an earlier commit is migrated where it stands: its journal is whole, its trios go on.

``tests/data/upgrade`` holds its database and its exchange, and says how they were made.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, connections

from accounts import endpoints
from accounts.errors import CredentialsUnreadable
from accounts.models import ExchangeAccount
from accounts.services import account_replace_credentials
from orders import services
from orders.domain.enums import Role, TrioState
from orders.domain.errors import IllegalTransition
from orders.domain.operator_questions import Choice, QuestionKind
from orders.journal.anchors import anchor_write
from orders.models import Outcome, Symbol, TrioEvent, TrioOrder
from simulator import Simulator
from simulator.persistence.store import Store
from simulator.transport import InProcessAdapter
from tests.builders import Desk, due_ids, story, until
from tests.unit.orders.operators import a_superuser, page_of, verb_url
from worker.settings_drift import margins_look, modes_look, symbols_look

D = Decimal
DATA: Final = Path(__file__).parents[2] / "data" / "upgrade"
COMMIT: Final = "549f9b9"
TRIOS: Final[dict[str, int]] = json.loads((DATA / f"{COMMIT}.trios.json").read_text())
SEEN: Final = "2026-06-01 09:"  # and what follows: a time that the maker's run decided
LEAVE, CLOSE = Choice.LEAVE, Choice.CLOSE
NO_KEY: Final = ("unreadable", "keyless")

# --- what that commit wrote -----------------------------------------------------------------------

# fmt: off
ASKING: Final[dict[str, tuple[str, tuple[Choice, ...]]]] = {
    # the trio that asks        how its sentence begins, and what may be answered
    "target refused":
        ("The exchange refused the take-profit (NEW_ORDER_REJECTED (code -2010), -2010). The stop-l", (CLOSE, LEAVE)),
    "target refused in odd words":
        ("The exchange refused the take-profit (Price (1,000.5) is above 4,999, or below 3.; please", (CLOSE, LEAVE)),
    "target refused without a code":
        ("The exchange refused the take-profit (HTTP status 404 without a reason (status 404), 0).", (CLOSE, LEAVE)),
    "exit refused":
        ("The exchange keeps refusing to close the position at market; it is tried again.", (LEAVE,)),
    "exit refused, rolling back":
        ("The exchange keeps refusing to close the position at market; it is tried again.", (LEAVE,)),
    "dust":
        ("A rest of 500 is smaller than the smallest order the exchange takes", (LEAVE,)),
    "key refused":
        ("The exchange refuses the account's API key (The exchange refuses this account: ", (LEAVE, CLOSE)),
    "key refused without a code":
        ("The exchange refuses the account's API key (The exchange refuses this account: HTTP status 401", (LEAVE, CLOSE)),
    "failure":
        ("Something in this system went wrong while deciding about this trio.", (LEAVE, CLOSE)),
    "margin type changed":
        ("The margin type was changed on the exchange: ETHUSDT on “second” is CROSSED now", (LEAVE, CLOSE)),
    "symbol stopped":
        ("The symbol does not trade now: DOGEUSDT is SETTLING since 2026-06-01 09:", (LEAVE, CLOSE)),
    "mode switched":
        ("The account's settings were changed on the exchange: “switched” is in hedge mode now", (LEAVE, CLOSE)),
    "multi-assets":
        ("The account's settings were changed on the exchange: multi-assets mode is on for “multi”", (LEAVE, CLOSE)),
    "key unreadable":
        ("The stored API key of “unreadable” cannot be decrypted", (LEAVE, CLOSE)),
    "key missing":
        ("Account 9 has no stored API key: enter one with “Replace credentials”.", (LEAVE, CLOSE)),
}
MEANS: Final[dict[str, tuple[QuestionKind, dict[str, Any]]]] = {
    # the trio that asks        what the old sentence meant, as data
    "target refused":
        (QuestionKind.TARGET_REFUSED, {"text": "NEW_ORDER_REJECTED", "code": -2010}),
    "target refused in odd words":
        (QuestionKind.TARGET_REFUSED,
         {"text": "Price (1,000.5) is above 4,999, or below 3.; please adjust", "code": -4016}),
    "target refused without a code":
        (QuestionKind.TARGET_REFUSED, {"text": "HTTP status 404 without a reason", "code": 0}),
    "exit refused":
        (QuestionKind.EXIT_REFUSED, {"text": "NEW_ORDER_REJECTED", "code": -2010}),
    "exit refused, rolling back":
        (QuestionKind.EXIT_REFUSED, {"text": "NEW_ORDER_REJECTED", "code": -2010}),
    "dust":
        (QuestionKind.DUST, {"quantity": "500"}),
    "key refused":
        (QuestionKind.KEY_REFUSED,
         {"text": "Invalid API-key, IP, or permissions for action", "code": -2015}),
    "key refused without a code":
        (QuestionKind.KEY_REFUSED, {"text": "HTTP status 401 without a reason", "code": 0}),
    "failure":
        (QuestionKind.FAILURE, {}),
    "margin type changed":
        (QuestionKind.MARGIN_TYPE_CHANGED,
         {"symbol": "ETHUSDT", "account": "second", "margin_type": "CROSSED", "was": "ISOLATED", "seen": SEEN}),
    "symbol stopped":
        (QuestionKind.SYMBOL_STOPPED, {"symbol": "DOGEUSDT", "status": "SETTLING", "since": SEEN}),
    "mode switched":
        (QuestionKind.POSITION_MODE_CHANGED,
         {"account": "switched", "position_mode": "hedge mode", "placed_in": "one-way mode", "seen": SEEN}),
    "multi-assets":
        (QuestionKind.MULTI_ASSETS_ON, {"account": "multi", "seen": SEEN}),
    "key unreadable":
        (QuestionKind.ACCOUNT_UNREACHABLE,
         {"text": "The stored API key of “unreadable” cannot be decrypted: CREDENTIALS_MASTER_KEY is not the one it was"
                  " stored under. Put the old key back (after a comma), or use “Replace credentials”."}),
    "key missing":
        (QuestionKind.ACCOUNT_UNREACHABLE,
         {"text": "Account 9 has no stored API key: enter one with “Replace credentials”."}),
}
GOES_ON: Final[dict[str, tuple[str, str, str]]] = {
    # the trio that lives       where it comes to, its result, and what then rests: entry, stop, target (p)
    "draft":                       ("DRAFT", "", ""),
    "queued":                      ("EXPIRED", "", ""),  # its deadline is long over
    "working":                     ("WORKING", "", "es"),
    "working, good till":          ("EXPIRED", "", ""),
    "covered":                     ("OPEN", "", "ps"),
    "covered on first fill":       ("OPEN", "", "ps"),
    "partly filled":               ("OPEN", "", "eps"),
    "held for an hour":            ("CLOSED", "TIME", ""),
    "hedged long":                 ("OPEN", "", "ps"),
    "hedged short":                ("OPEN", "", "ps"),
    "entry in doubt":              ("WORKING", "", "es"),  # it was there all the time
    "stop in doubt":               ("EXPIRED", "", ""),  # found, and taken back: the entry's deadline is over
    "withdrawing":                 ("CANCELLED", "", ""),
    "target refused":              ("OPEN", "", "s"),
    "target refused in odd words": ("OPEN", "", "s"),
    "target refused without a code": ("OPEN", "", "s"),
    "target refused, left":        ("OPEN", "", "s"),
    "exit refused":                ("CLOSED", "MANUAL", ""),
    "exit refused, rolling back":  ("ROLLED_BACK", "", ""),
    "dust":                        ("EXITING", "", "ps"),
    "key refused":                 ("CLOSED", "UNCOVERED", ""),
    "key refused without a code":  ("CLOSED", "UNCOVERED", ""),
    "failure":                     ("OPEN", "", "ps"),
    "margin type changed":         ("OPEN", "", "ps"),
    "symbol stopped":              ("OPEN", "", "ps"),
    "symbol stopped, left":        ("OPEN", "", "ps"),
    "mode switched":               ("OPEN", "", "ps"),
    "mode switched, left":         ("OPEN", "", "ps"),
    "multi-assets":                ("OPEN", "", "ps"),
    "key unreadable":              ("OPEN", "", "ps"),
    "key missing":                 ("OPEN", "", "ps"),
    "late":                        ("CLOSED", "LATE", ""),
}
# fmt: on
NAMES: Final = {pk: name for name, pk in TRIOS.items()}


OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"


def drop(cursor: Any, name: str) -> None:
    """Drop a database whose sessions may still be open. Only ours may be ended; vacuum ends by itself when it is dropped."""
    cursor.execute(OURS, [name])
    cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')


# --- restored and migrated ------------------------------------------------------------------------


@contextlib.contextmanager
def database(name: str) -> Iterator[None]:
    """Have everything in this process work on another database of the server."""
    words = connections.settings["default"]
    before = words["NAME"]
    connections.close_all()
    words["NAME"] = name
    ContentType.objects.clear_cache()
    try:
        yield
    finally:
        connections.close_all()
        words["NAME"] = before
        ContentType.objects.clear_cache()


@contextlib.contextmanager
def made(name: str, template: str) -> Iterator[str]:
    """Make a database, and drop it in the end."""
    with connection._nodb_cursor() as cursor:
        drop(cursor, name)
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield name
    with connection._nodb_cursor() as cursor:
        drop(cursor, name)


@dataclass(frozen=True)
class Upgraded:
    """A database that was migrated: others are copies of it. ``before``: state and question by trio, as they were."""

    name: str
    before: dict[int, tuple[str, str]]


@pytest.fixture(scope="module")
def upgraded(django_db_setup: None, django_db_blocker: Any) -> Iterator[Upgraded]:
    statements = gzip.decompress((DATA / f"{COMMIT}.sql.gz").read_bytes()).decode()
    with django_db_blocker.unblock():
        words = connection.settings_dict
        name = f"{words['TEST']['NAME'] or words['NAME']}_upgraded"  # one of this test process alone
        with made(name, "template0"):
            with database(name), connection.cursor() as cursor:
                cursor.execute(statements)
            with database(name), connection.cursor() as cursor:
                cursor.execute("SELECT id, state, question FROM orders_trioorder")
                before = {pk: (state, question) for pk, state, question in cursor.fetchall()}
                # An upgrade happens in place: the server is the one that the database was made on.
                cursor.execute(
                    "UPDATE orders_install SET system_identifier ="
                    " (SELECT system_identifier FROM pg_control_system())"
                )
                call_command("migrate", verbosity=0)
            yield Upgraded(name, before)


@dataclass
class Stack:
    """The installation after its upgrade: its accounts at its exchange, and a worker that is the test itself."""

    simulator: Simulator
    desks: dict[str, Desk]

    def trio(self, name: str) -> TrioOrder:
        return TrioOrder.objects.select_related("account", "symbol").get(pk=TRIOS[name])

    def watched(self) -> None:
        """Beat and sweep as a runworker does that has just been started."""
        for desk in self.desks.values():
            with contextlib.suppress(CredentialsUnreadable):
                desk.watched()

    def carry(self) -> None:
        for desk in self.desks.values():
            desk.beat()
            desk.hear()
        for trio_id in due_ids():
            self.desks["main"].service.advance(trio_id)

    def carry_until(self, there: Callable[[TrioOrder], bool], names: Iterable[str]) -> None:
        missing: list[str] = []

        def all_there() -> bool:
            self.carry()
            missing[:] = [name for name in names if not there(self.trio(name))]
            return not missing

        def why() -> str:
            trios = [(name, self.trio(name)) for name in missing]
            return "\n\n".join(f"{name}: {trio.state} {trio.result}\n{story(trio)}" for name, trio in trios)

        until(all_there, seconds=30, why=why)

    def orders(self, name: str) -> set[str]:
        return set(self.trio(name).legs.values_list("client_id", flat=True))

    def resting(self, name: str) -> str:
        """Return what rests for a trio, by the letters of its client ids."""
        rest = self.orders(name) & set(self.desks["main"].resting)
        return "".join(sorted(client_id.rpartition("-")[2][0] for client_id in rest))

    def sent(self, name: str) -> list[tuple[str, str]]:
        """Return what was sent to the exchange for a trio since the upgrade."""
        ours = self.orders(name)
        log = [(entry.method, entry.client_id) for entry in self.simulator.log]
        return [(method, client_id) for method, client_id in log if method != "GET" and client_id in ours]


@pytest.fixture
def migrated(upgraded: Upgraded, django_db_blocker: Any) -> Iterator[Upgraded]:
    """The migrated database itself, which others are copied from: to be read."""
    with django_db_blocker.unblock(), database(upgraded.name):
        yield upgraded


@pytest.fixture
def stack(upgraded: Upgraded, django_db_blocker: Any, tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "journal.jsonl").write_bytes(
        gzip.decompress((DATA / f"{COMMIT}.exchange.jsonl.gz").read_bytes())
    )
    with (
        django_db_blocker.unblock(),
        made(f"{upgraded.name}_copy", upgraded.name) as name,
        database(name),
    ):
        simulator = Simulator(symbols=Symbol.objects.values_list("symbol", flat=True), enforce_rates=False)
        store = Store(tmp_path, simulator)
        endpoints.use_transport("PAPER", InProcessAdapter(simulator))
        desks = {
            account.name: Desk(simulator, account, f"key-of-{account.name}")
            for account in ExchangeAccount.objects.all()
        }
        yield Stack(simulator, desks)
        endpoints.use_transport("PAPER", None)
        store.close()


def ran(*words: str) -> dict[str, Any]:
    """Run a command of ours; it must come to a good end. Return its document."""
    out = io.StringIO()
    try:
        call_command(*words, "--json", stdout=out)
    except SystemExit as ended:
        pytest.fail(f"{words} ended with {ended.code}: {out.getvalue()}")
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def the_journal_is_whole(names: Iterable[str] = TRIOS) -> None:
    assert ran("verify_journal")["whole"]
    for name in names:
        assert ran("replay_trio", str(TRIOS[name]))["differences"] == [], name


# --- what is there --------------------------------------------------------------------------------


def test_the_old_database_holds_what_this_is_about(migrated: Upgraded) -> None:
    asked = {NAMES[pk]: question for pk, (_, question) in migrated.before.items() if question}
    assert asked.keys() == ASKING.keys()
    assert [name for name, said in asked.items() if not said.startswith(ASKING[name][0])] == []
    assert {state for state, _ in migrated.before.values()} == set(TrioState)
    assert GOES_ON.keys() == {name for name in TRIOS if not name.startswith("past")}
    assert Outcome.objects.filter(message__startswith="The exchange refused: ").exists()


def test_every_migration_applies_and_the_journal_is_as_whole_as_before(migrated: Upgraded) -> None:
    call_command("migrate", check_unapplied=True, verbosity=0)
    states = dict(TrioOrder.objects.values_list("pk", "state"))
    assert states == {pk: state for pk, (state, _) in migrated.before.items()}
    whole = ran("verify_journal")
    assert (whole["broken"], whole["anchors"]) == (0, 2)
    assert whole["trios"] == TrioOrder.objects.filter(journal_length__gt=0).count()
    the_journal_is_whole()


def test_what_a_trio_asked_it_still_asks_and_shows(migrated: Upgraded) -> None:
    visitor = a_superuser("visitor")
    for name, (_, answers) in ASKING.items():
        trio = TrioOrder.objects.get(pk=TRIOS[name])
        kind, facts = MEANS[name]
        assert trio.asked is not None, name
        assert (trio.asked.kind, trio.asked.choices) == (kind, answers), name
        told = {
            fact: SEEN if fact in ("seen", "since") else value for fact, value in trio.asked.facts.items()
        }
        assert told == facts, name
        for fact in set(facts) & {"seen", "since"}:
            assert re.fullmatch(SEEN + r"\d\d:\d\d UTC", trio.asked.facts[fact]), name
        shown = ran("show_trio", str(trio.pk))["question"]
        assert shown == trio.asked.sentence, name
        assert "not known" not in shown, (
            name
        )  # every fact was found in the old sentence, or in the order it was about
        assert "(code" not in shown, name  # our words around the exchange's are gone
        page = visitor.get(page_of(trio)).content.decode()
        for choice, url in ((LEAVE, "answer"), (CLOSE, "answer_close")):
            assert (f'href="{verb_url(url, trio)}"' in page) == (choice in answers), f"{name}: {choice}"
        for choice in set(Choice) - set(answers):
            with pytest.raises(IllegalTransition, match="not an answer to what"):
                services.trio_answer(trio_id=trio.pk, by="test", choice=choice)


# --- going on -------------------------------------------------------------------------------------


def test_what_lives_goes_on(stack: Stack) -> None:
    # Given what rests for each trio, and a worker that starts months later
    rested = {name: stack.orders(name) & set(stack.desks["main"].resting) for name in GOES_ON}
    stack.watched()

    # When each is carried on, and swept once more
    for name in GOES_ON:
        stack.desks["main"].service.advance(TRIOS[name])
    stack.carry_until(lambda trio: (trio.state, trio.result) == GOES_ON[NAMES[trio.pk]][:2], GOES_ON)
    stack.watched()
    for name in GOES_ON:
        stack.desks["main"].service.advance(TRIOS[name])

    # Then each is where it should be, what covers it is what covered it, and nothing was sent for it
    came_to = {name: (trio.state, trio.result, stack.resting(name)) for name, trio in _all(stack, GOES_ON)}
    assert came_to == GOES_ON
    for name, (_, _, rests) in GOES_ON.items():
        if rests:
            assert stack.orders(name) & set(stack.desks["main"].resting) == rested[name], name
            assert stack.sent(name) == [], name
    asks = {name for name, trio in _all(stack, GOES_ON) if trio.question}
    assert asks == {name for name in ASKING if GOES_ON[name][2]} | {"target refused, left"}

    # And the exchange holds what the trios hold, and what a person bought
    held = [name for name, (_, _, rests) in GOES_ON.items() if rests not in ("", "es")]
    ours = {
        (trio.account.name, trio.symbol.symbol, trio.position_side): sum(
            leg.filled for leg in trio.legs.filter(role=Role.ENTRY)
        )
        for _, trio in _all(stack, held)
    }
    positions = {
        (account["name"], row["symbol"], row["side"]): abs(D(row["quantity"]))
        for account in stack.simulator.snapshot()["accounts"]
        for row in account["positions"]
    }
    assert positions == ours | {("past", "BTCUSDT", "BOTH"): D("0.001")}

    # And when a price reaches their stops, those that are watched leave by them
    stack.simulator.set_price("BTCUSDT", "94000")
    stopped = {
        name
        for name, trio in _all(stack, held)
        if (trio.symbol.symbol, trio.side) == ("BTCUSDT", "BUY") and trio.account.name not in NO_KEY
    }
    assert {"covered", "hedged long", "target refused", "mode switched", "multi-assets"} <= stopped
    stack.carry_until(lambda trio: (trio.state, trio.result) == ("CLOSED", "STOP_LOSS"), stopped)
    assert anchor_write() is not None
    the_journal_is_whole(GOES_ON)


def _all(stack: Stack, names: Iterable[str]) -> list[tuple[str, TrioOrder]]:
    return [(name, stack.trio(name)) for name in names]


# --- asking ---------------------------------------------------------------------------------------


def test_a_change_that_was_asked_about_is_not_asked_about_again(stack: Stack) -> None:
    stack.simulator.ex.catalogue.set_status("DOGEUSDT", "SETTLING")
    stack.watched()
    for name in ("switched", "multi", "second", "hedged"):
        account = stack.desks[name].account
        for look in (modes_look, margins_look, symbols_look):
            assert look(account) == set(), f"{look.__name__} of {name}"
    for name in ("mode switched, left", "symbol stopped, left"):
        trio = stack.trio(name)
        assert not trio.question
        assert TrioEvent.objects.filter(trio=trio, kind="question").count() == 1


def mended(stack: Stack) -> None:
    """Do what a person does besides answering: put the switches back, enter the lost keys anew."""
    for name in ("switched", "multi"):
        account = stack.simulator.ex.books[name].account
        account.dual = account.multi_assets = False
    for name in NO_KEY:
        account_replace_credentials(
            account=stack.desks[name].account, api_key=f"key-of-{name}", api_secret=f"secret-of-{name}"
        )


@pytest.mark.parametrize("choice", Choice)
def test_each_question_can_be_answered_with_each_choice_it_allows(stack: Stack, choice: Choice) -> None:
    # Given trios that ask, and nothing that still stands in the way of what is answered
    mended(stack)
    stack.watched()
    names = {name for name, (_, answers) in ASKING.items() if choice in answers}

    # When each is answered
    for name in names:
        services.trio_answer(trio_id=TRIOS[name], by="operator", choice=choice)
        assert not stack.trio(name).question

    # Then it closes, or goes on and does not ask the same again
    if choice is CLOSE:
        stack.carry_until(lambda trio: trio.state == "CLOSED", names)
        results = {name: trio.result for name, trio in _all(stack, names)}
        assert results == dict.fromkeys(names, "MANUAL") | {
            "key refused": "UNCOVERED",
            "key refused without a code": "UNCOVERED",
        }
        assert "".join(stack.resting(name) for name in names) == ""
    else:
        stack.carry_until(lambda trio: trio.state == GOES_ON[NAMES[trio.pk]][0], names)
        assert [name for name, trio in _all(stack, names) if trio.question] == []
    the_journal_is_whole(names)
