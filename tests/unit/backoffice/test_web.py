"""The web's own pages: health for machines, metrics for staff, no back doors, nothing inline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import EgressLimits
from backoffice.dashboard import environment_badge
from backoffice.error_answers import server_error
from exchange.refusals import Refusal
from orders.models import Heartbeat

pytestmark = pytest.mark.django_db

BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="a long enough password")


@pytest.fixture
def clerk() -> User:
    return User.objects.create_user("clerk", password="a long enough password", is_staff=True)


def beat(*, seconds_ago: float) -> None:
    now = timezone.now()
    Heartbeat.objects.create(process="desk:1", started_at=now, beat=now - timedelta(seconds=seconds_ago))


def test_all_is_well_when_a_worker_lives(client: Client) -> None:
    beat(seconds_ago=1)

    answer = client.get("/healthz")

    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("last_heartbeat") is not None
    assert found == {
        "ok": True,
        "database": True,
        "redis": True,
        "worker": True,
        "problems": [],
        "degraded": [],
        "unprotected": [],
        "uncovered": [],
        "notices": [],
    }


def test_a_ban_is_named_by_health_and_on_the_first_page_until_it_is_over(
    client: Client, admin_client: Client
) -> None:
    beat(seconds_ago=1)
    ends = timezone.now() + timedelta(minutes=2)
    ban = EgressLimits.objects.create(
        environment="PAPER", egress="desk", closed_until=ends, closed_cause=Refusal.BANNED.value
    )

    answer = client.get("/healthz")
    (named,) = answer.json()["degraded"]
    page = admin_client.get("/admin/").content.decode()

    assert (answer.status_code, answer.json()["ok"]) == (503, False)
    assert (named["environment"], named["address"], named["cause"]) == ("PAPER", "desk", "BANNED")
    assert f"{ends:%H:%M:%S}" in named["message"]
    assert "has barred the address “desk”" in page

    ban.closed_until = timezone.now()
    ban.save()
    assert client.get("/healthz").json()["ok"] is True
    assert "barred" not in admin_client.get("/admin/").content.decode()


@pytest.mark.parametrize("given", ["none ever", "one that is silent"])
def test_without_a_live_worker_health_says_so(client: Client, given: str) -> None:
    if given == "one that is silent":
        beat(seconds_ago=60)

    answer = client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["worker"] is False


def test_health_changes_nothing(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


def test_health_answers_a_load_balancer(client: Client, settings: Any) -> None:
    # Given an installation for production, which is asked by its address and without TLS
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["desk.example.com"], True
    beat(seconds_ago=1)

    # Then health answers by itself, and nothing else does
    assert client.get("/healthz", headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/admin/login/", headers={"Host": "10.1.2.3:8000"}).status_code == 400
    assert client.get("/admin/login/", headers={"Host": "desk.example.com"}).status_code == 301
    Heartbeat.objects.all().delete()
    assert client.get("/healthz", headers={"Host": "10.1.2.3"}).status_code == 503


def test_metrics_are_for_staff(client: Client, clerk: User) -> None:
    assert client.get("/metrics").status_code == 403

    answer = signed_in(clerk).get("/metrics")

    assert answer.status_code == 200
    assert b"django_http" in answer.content


@pytest.mark.parametrize(
    "path", ["/admin/django_rq/dashboard/", "/admin/django_rq/", "/django-rq/", "/django_rq/"]
)
def test_the_queues_own_pages_are_not_exposed(boss: User, path: str) -> None:
    assert signed_in(boss).get(path).status_code == 404


def test_the_first_page_shows_workers_and_queues(boss: User) -> None:
    beat(seconds_ago=1)

    page = signed_in(boss).get("/admin/").content.decode()

    assert "desk:1" in page
    assert "alive" in page
    assert "waiting" in page
    assert "PAPER" in page


def test_the_sidebar_offers_only_what_one_may_see(clerk: User, boss: User) -> None:
    assert "/admin/auth/user/" in signed_in(boss).get("/admin/").content.decode()
    assert "/admin/auth/user/" not in signed_in(clerk).get("/admin/").content.decode()

    clerk.user_permissions.add(Permission.objects.get(codename="view_user"))

    assert "/admin/auth/user/" in signed_in(User.objects.get(pk=clerk.pk)).get("/admin/").content.decode()


def test_every_page_forbids_inline_scripts_and_framing(client: Client) -> None:
    answer = client.get("/admin/login/")

    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy


def test_the_icon_is_served(client: Client) -> None:
    assert client.get("/favicon.ico").status_code == 302


def test_a_bare_login_lands_in_the_admin(client: Client, boss: User) -> None:
    answer = client.post("/admin/login/", {"username": "boss", "password": "a long enough password"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


def test_guessing_a_password_is_stopped(client: Client, boss: User) -> None:
    for _ in range(5):
        client.post("/admin/login/", {"username": "boss", "password": "wrong"})

    answer = client.post("/admin/login/", {"username": "boss", "password": "a long enough password"})

    assert answer.status_code == 429


@pytest.mark.parametrize(
    ("live", "dry_run", "testnet", "badge"),
    [
        (True, False, False, ["LIVE", "danger"]),
        (True, True, False, ["LIVE, dry run", "warning"]),
        (False, False, True, ["TESTNET", "warning"]),
        (False, True, True, ["TESTNET, dry run", "warning"]),
        (False, True, False, ["PAPER", "success"]),
    ],
)
def test_the_badge_says_whose_money_is_at_stake(
    settings: Any, rf: Any, live: bool, dry_run: bool, testnet: bool, badge: list[str]
) -> None:
    settings.ALLOW_LIVE, settings.DRY_RUN_MODE, settings.BINANCE_TESTNET = live, dry_run, testnet

    assert environment_badge(rf.get("/")) == badge


def test_health_names_what_a_runworker_cannot_reach(client: Client) -> None:
    beat(seconds_ago=1)
    Heartbeat.objects.update(note="The exchange (PAPER) has sent no prices for more than 5 s.")

    answer = client.get("/healthz")

    assert (answer.status_code, answer.json()["worker"]) == (503, True)
    assert answer.json()["problems"] == ["The exchange (PAPER) has sent no prices for more than 5 s."]


def failing(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


SILENT = OperationalError("FATAL:  sorry, too many clients already")


def test_health_names_the_database_that_does_not_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backoffice.health.connection.cursor", failing(SILENT))

    answer = client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["problems"] == [
        "The database (PostgreSQL) does not answer: FATAL:  sorry, too many clients already."
    ]


@pytest.mark.parametrize(
    ("method", "done"), [("get", "Nothing was done."), ("post", "Whether what you asked for was done")]
)
def test_a_page_that_the_database_leaves_waiting_names_it(
    boss: User, monkeypatch: pytest.MonkeyPatch, method: str, done: str
) -> None:
    client = signed_in(boss)
    monkeypatch.setattr("orders.admin.trio.TrioOrderAdmin.get_queryset", failing(SILENT))

    answer = getattr(client, method)("/admin/orders/trioorder/")

    said = answer.content.decode()
    assert answer.status_code == 503
    assert "The database (PostgreSQL) does not answer: FATAL:  sorry, too many clients already." in said
    assert done in said


def test_what_no_page_caught_is_a_sentence_too(rf: RequestFactory) -> None:
    try:
        failing(OperationalError("server closed the connection unexpectedly"))()
    except OperationalError:
        named = server_error(rf.get("/admin/"))
    try:
        failing(KeyError("a bug"))()
    except KeyError:
        broken = server_error(rf.get("/admin/"))

    assert (named.status_code, broken.status_code) == (503, 500)
    assert "PostgreSQL" in named.content.decode()
    assert "a bug" not in broken.content.decode()
