"""What a destination's URL may say. It is a secret: no refusal repeats it. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from notices.domain.addresses import is_allowed, read_address

URL_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Service:
    """A service that notices go to: what people call it, and the class of apprise that speaks its protocol."""

    title: str
    module: str
    name: str


# Each is encrypted on its way. A scheme that is not here is never loaded.
# fmt: off
SERVICES: Final[Mapping[str, Service]] = {
    "discord":   Service("Discord", "discord", "NotifyDiscord"),
    "gchat":     Service("Google Chat", "google_chat", "NotifyGoogleChat"),
    "gotifys":   Service("Gotify", "gotify", "NotifyGotify"),
    "jsons":     Service("Webhook (JSON)", "custom_json", "NotifyJSON"),
    "mailtos":   Service("E-mail", "email", "NotifyEmail"),
    "matrixs":   Service("Matrix", "matrix", "NotifyMatrix"),
    "mmosts":    Service("Mattermost", "mattermost", "NotifyMattermost"),
    "ntfys":     Service("ntfy", "ntfy", "NotifyNtfy"),
    "opsgenie":  Service("Opsgenie", "opsgenie", "NotifyOpsgenie"),
    "pagerduty": Service("PagerDuty", "pagerduty", "NotifyPagerDuty"),
    "pover":     Service("Pushover", "pushover", "NotifyPushover"),
    "rockets":   Service("Rocket.Chat", "rocketchat", "NotifyRocketChat"),
    "slack":     Service("Slack", "slack", "NotifySlack"),
    "tgram":     Service("Telegram", "telegram", "NotifyTelegram"),
    "webex":     Service("Webex", "webexteams", "NotifyWebexTeams"),
    "workflows": Service("Microsoft Teams (Workflows)", "workflows", "NotifyWorkflows"),
    "zulip":     Service("Zulip", "zulip", "NotifyZulip"),
}
# fmt: on
# To what is allowed although private, a webhook may go as it is: a test's receiver on loopback has no certificate.
PLAIN: Final[Mapping[str, Service]] = {"json": Service("Webhook (JSON)", "custom_json", "NotifyJSON")}
# Would turn the check of certificates off, follow redirects, or read a file of this machine.
FORBIDDEN: Final = frozenset({"verify", "redirect", "template", "pgp", "pgpkey", "smime", "pem", "keyfile"})
SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
HOST: Final = re.compile(r"://(?:[^/?#]*@)?(\[[^\]]*\]|[^/?#:]*)")


class UrlFault(enum.StrEnum):
    EMPTY = "EMPTY"
    TOO_LONG = "TOO_LONG"
    NO_SCHEME = "NO_SCHEME"
    SCHEME = "SCHEME"
    OPTION = "OPTION"
    PRIVATE = "PRIVATE"


@dataclass(frozen=True, slots=True)
class UrlRefused:
    """Why a URL is not taken. ``what``: the scheme or the option that is meant, never more of it."""

    fault: UrlFault
    what: str = ""

    @property
    def sentence(self) -> str:
        return _SENTENCES[self.fault].format(what=self.what, schemes=", ".join(SERVICES), most=URL_MAX)


_SENTENCES: Final[Mapping[UrlFault, str]] = {
    UrlFault.EMPTY: "Enter the URL, such as jsons://hooks.example.com/path for a webhook.",
    UrlFault.TOO_LONG: "A URL may have at most {most} characters.",
    UrlFault.NO_SCHEME: "This is not an apprise URL: it begins with the service, as in tgram://, slack:// or jsons://.",
    UrlFault.SCHEME: "“{what}” is not among the services that notices go to: {schemes}. A webhook is jsons://host/path.",
    UrlFault.OPTION: "The option “{what}” is not allowed here: take it out of the URL.",
    UrlFault.PRIVATE: "It leads to an address that is not public. Notices are sent to public addresses only.",
}


def services(also: Iterable[str] = ()) -> Mapping[str, Service]:
    """Return the services by scheme; with ``also`` (networks that are allowed although private) the plain webhook too."""
    return {**SERVICES, **PLAIN} if tuple(also) else SERVICES


def scheme_of(url: str) -> str:
    """Return a URL's scheme in small letters; nothing when it has none."""
    found = SCHEME.match(url)
    return found[1].lower() if found else ""


def url_refused(url: str, also: Iterable[str] = ()) -> UrlRefused | None:
    """Return why a URL is not taken, if so. A name in it is judged when it is connected to, each time."""
    also = tuple(also)
    if not url:
        return UrlRefused(UrlFault.EMPTY)
    if len(url) > URL_MAX:
        return UrlRefused(UrlFault.TOO_LONG)
    scheme = scheme_of(url)
    if not scheme or not url.isprintable() or " " in url:
        return UrlRefused(UrlFault.NO_SCHEME)
    if scheme not in services(also):
        return UrlRefused(UrlFault.SCHEME, scheme[:20])
    for option in _options(url):
        if option in FORBIDDEN:
            return UrlRefused(UrlFault.OPTION, option)
    host = HOST.search(url)
    name = host[1].lower() if host else ""
    private = read_address(name) is not None and not is_allowed(name, also)
    if private or (name.rstrip(".") == "localhost" and not also):
        return UrlRefused(UrlFault.PRIVATE)
    return None


def _options(url: str) -> list[str]:
    pairs = url.partition("?")[2].replace(";", "&").split("&")
    return [unquote_plus(pair.partition("=")[0]).strip().lower() for pair in pairs if pair]
