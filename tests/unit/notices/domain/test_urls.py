"""What a destination's URL may say."""

from __future__ import annotations

import importlib

import pytest

from notices.domain.urls import SERVICES, UrlFault, url_refused

SECRET = "token-that-nobody-repeats"


@pytest.mark.parametrize(
    ("url", "fault", "what"),
    [
        ("", UrlFault.EMPTY, ""),
        (SECRET, UrlFault.NO_SCHEME, ""),
        (f"jsons://example.com/{SECRET} tgram://x", UrlFault.NO_SCHEME, ""),
        (f"jsons://example.com/{SECRET}\n", UrlFault.NO_SCHEME, ""),
        ("jsons://example.com/" + "x" * 2000, UrlFault.TOO_LONG, ""),
        (f"json://example.com/{SECRET}", UrlFault.SCHEME, "json"),
        (f"https://example.com/{SECRET}", UrlFault.SCHEME, "https"),
        (f"file:///etc/{SECRET}", UrlFault.SCHEME, "file"),
        (f"syslog://{SECRET}", UrlFault.SCHEME, "syslog"),
        (f"jsons://example.com/{SECRET}?verify=no", UrlFault.OPTION, "verify"),
        (f"jsons://example.com/{SECRET}?a=b&%76erify=no", UrlFault.OPTION, "verify"),
        (f"jsons://example.com/{SECRET}?Redirect=yes", UrlFault.OPTION, "redirect"),
        (f"slack://{SECRET}?template=/etc/passwd", UrlFault.OPTION, "template"),
        (f"jsons://127.0.0.1/{SECRET}", UrlFault.PRIVATE, ""),
        (f"jsons://user:pass@10.0.0.1:8080/{SECRET}", UrlFault.PRIVATE, ""),
        (f"jsons://[::1]/{SECRET}", UrlFault.PRIVATE, ""),
        (f"jsons://[::ffff:169.254.169.254]/{SECRET}", UrlFault.PRIVATE, ""),
        (f"jsons://LOCALHOST./{SECRET}", UrlFault.PRIVATE, ""),
    ],
)
def test_what_is_refused_is_named_and_nothing_of_it_repeated(url: str, fault: UrlFault, what: str) -> None:
    refused = url_refused(url)

    assert refused is not None
    assert (refused.fault, refused.what) == (fault, what)
    assert SECRET not in refused.sentence


@pytest.mark.parametrize(
    "url",
    [
        "jsons://hooks.example.com/path?-x=1",
        "tgram://123456789:abcdefghijklmnop/12345",
        "mailtos://user:password@mail.example.com?to=you@example.com",
        "JSONS://hooks.example.com",
        "slack://a/b/c/#desk",
    ],
)
def test_the_usual_ones_are_taken(url: str) -> None:
    assert url_refused(url) is None


def test_the_plain_webhook_is_there_for_what_is_allowed_although_private_alone() -> None:
    assert url_refused("json://127.0.0.1:9/x", ["127.0.0.1"]) is None
    assert url_refused("json://127.0.0.2:9/x", ["127.0.0.1"]) is not None
    assert url_refused("json://127.0.0.1:9/x") is not None


@pytest.mark.parametrize("scheme", SERVICES)
def test_each_service_is_one_of_apprise_and_encrypted(scheme: str) -> None:
    service = SERVICES[scheme]
    plugin = getattr(importlib.import_module(f"apprise.plugins.{service.module}"), service.name)

    secure = plugin.secure_protocol
    assert scheme in ((secure,) if isinstance(secure, str) else secure)
