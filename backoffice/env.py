"""Reading the environment: each value checked, each refusal one sentence that says what to do."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from exchange.secret import Secret
from exchange.types import TIMEFRAMES, Endpoints

KEY_LENGTH_MIN: Final = 32
KEY_CHARACTERS_MIN: Final = 8
RECV_WINDOW_MAX: Final = 60_000
TRUE: Final = frozenset({"true", "1", "yes", "on", "y", "t"})
FALSE: Final = frozenset({"false", "0", "no", "off", "n", "f"})
POSTGRES_SCHEMES: Final = frozenset({"postgres", "postgresql", "psql", "pgsql"})
REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
STRATEGIES: Final = ",".join(
    f"{name}=signals.strategies.examples.{name}:{name.capitalize()}"
    for name in ("breakout", "crossover", "reversion", "template")
)
ENDPOINTS: Final = {
    "LIVE": Endpoints("https://fapi.binance.com", "wss://fstream.binance.com", "https://api.binance.com"),
    "TESTNET": Endpoints("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", ""),
    "PAPER": Endpoints("http://127.0.0.1:8787", "ws://127.0.0.1:8787", "http://127.0.0.1:8787"),
}


def read_env_file(path: str) -> None:
    """Take in a file of settings. Raises ImproperlyConfigured when it cannot be read as text."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ImproperlyConfigured(f"{path} is not a text file: write NAME=value lines in UTF-8.")
    environ.Env.read_env(path)


class Configuration:
    """The environment as our settings need it. Every method raises ImproperlyConfigured with a sentence."""

    def __init__(self, env: environ.Env) -> None:
        self.env = env

    def text(self, name: str, default: str = "") -> str:
        raw = str(self.env.ENVIRON.get(name, ""))
        if raw.startswith("$"):
            return raw.strip()  # a key may begin with $; django-environ would take it for another's name
        return str(self.env.str(name, default=default)).strip()

    def texts(self, name: str, default: str = "") -> list[str]:
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def name(self, name: str, default: str) -> str:
        value = self.text(name) or default
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", value):
            raise ImproperlyConfigured(
                f"{name} must be a short name of letters, digits, dots and dashes, not {value!r}."
            )
        return value

    def networks(self, name: str) -> list[IPv4Network | IPv6Network]:
        found = []
        for part in self.texts(name):
            try:
                found.append(ip_network(part))
            except ValueError:
                raise ImproperlyConfigured(
                    f"{name} holds {part!r}: write addresses or networks with commas, as in 127.0.0.1,10.0.0.0/24."
                ) from None
        return found

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.text(name).lower() or str(default).lower()  # an empty line in .env is no answer
        if value not in TRUE | FALSE:
            raise ImproperlyConfigured(f"{name} is {value!r}: write true or false.")
        return value in TRUE

    def number(self, name: str, default: int, *, least: int, most: int, unit: str) -> int:
        value = self.text(name) or str(default)
        if not re.fullmatch(r"[+-]?[0-9_]{1,12}", value):
            raise ImproperlyConfigured(
                f"{name} is {value!r}: write a whole number of {unit}, for example {default}."
            )
        number = int(value)
        if not least <= number <= most:
            raise ImproperlyConfigured(f"{name} is {number}: it must be between {least} and {most} {unit}.")
        return number

    def allow_live(self, *, debug: bool) -> bool:
        found = self.flag("ALLOW_LIVE", default=False)
        if found and debug:
            raise ImproperlyConfigured(
                "ALLOW_LIVE and DEBUG are both true: real money is not traded by a developer's installation, whose "
                "error pages show what is going on inside. Set DEBUG=false, or ALLOW_LIVE=false."
            )
        return found

    def secret_key(self) -> str:
        value = self.text("SECRET_KEY")
        if not value:
            raise ImproperlyConfigured(
                "SECRET_KEY is missing: run `make setup`, which writes a fresh one to .env, or set it to "
                "50 random characters."
            )
        _require_strong("SECRET_KEY", value)
        return value

    def master_keys(self) -> list[Secret]:
        keys = [Secret(key) for key in self.texts("CREDENTIALS_MASTER_KEY")]
        if not keys:
            raise ImproperlyConfigured(
                "CREDENTIALS_MASTER_KEY is missing: API secrets cannot be stored without it. Run "
                "`make setup`, which writes a fresh one to .env, or set it to 50 random characters."
            )
        for number, key in enumerate(keys, start=1):
            _require_strong(
                "CREDENTIALS_MASTER_KEY" if len(keys) == 1 else f"Key {number} of CREDENTIALS_MASTER_KEY", key
            )
        return keys

    def database(self, *, debug: bool) -> dict[str, Any] | None:
        """Return Django's settings for the named PostgreSQL, or None for the local one while developing."""
        name = next((n for n in ("DATABASE_URL", "POSTGRES_DSN") if self.text(n)), "")
        if not name:
            if debug:
                return None
            raise ImproperlyConfigured(
                "DATABASE_URL is missing: with DEBUG=false name your PostgreSQL, as in "
                "DATABASE_URL=postgresql://user:password@host:5432/trio, or set DEBUG=true for the local one."
            )
        value = self.text(name)
        scheme = value.partition(":")[0].lower()
        if "://" not in value or scheme not in POSTGRES_SCHEMES:
            raise ImproperlyConfigured(
                f"{name} does not name a PostgreSQL: only PostgreSQL is supported, written as "
                "postgresql://user:password@host:5432/name."
            )
        try:
            found: dict[str, Any] = dict(environ.Env.db_url_config(value))
        except (ValueError, TypeError) as error:
            raise ImproperlyConfigured(
                f"{name} cannot be read: write it as postgresql://user:password@host:5432/name, with odd "
                "characters in the password percent-encoded."
            ) from error
        options = dict(found.get("OPTIONS", {}))
        # libpq's own form for a socket is ?host=/folder, or the folder percent-encoded in the host's place.
        found["HOST"] = unquote(str(found.get("HOST") or options.pop("host", "")))
        found["OPTIONS"] = options
        if not found.get("NAME"):
            raise ImproperlyConfigured(f"{name} names no database: end it with /name, for example /trio.")
        found["ENGINE"] = "django.db.backends.postgresql"
        return found

    def redis_url(self, *, debug: bool) -> str:
        """Return the named Redis, or nothing for the local Valkey while developing."""
        value = self.text("REDIS_URL")
        if not value:
            if debug:
                return ""
            raise ImproperlyConfigured(
                "REDIS_URL is missing: with DEBUG=false name your Redis or Valkey, as in "
                "REDIS_URL=redis://host:6379/0, or set DEBUG=true to use the local one."
            )
        if value.partition(":")[0].lower() not in REDIS_SCHEMES or "://" not in value:
            raise ImproperlyConfigured(
                "REDIS_URL does not name a Redis or Valkey: write redis://host:6379/0, rediss://… or "
                "unix:///folder/socket?db=0."
            )
        return value

    def endpoints(self, environment: str) -> Endpoints:
        standard = ENDPOINTS[environment]
        found = {
            "rest": self._url(f"BINANCE_{environment}_REST_URL", standard.rest, ("http", "https")),
            "stream": self._url(f"BINANCE_{environment}_STREAM_URL", standard.stream, ("ws", "wss")),
            "sapi": self._url(
                f"BINANCE_{environment}_SAPI_URL", standard.sapi, ("http", "https"), optional=True
            ),
        }
        return Endpoints(**found)

    def _url(self, name: str, default: str, schemes: tuple[str, ...], *, optional: bool = False) -> str:
        value = self.text(name, default).rstrip("/")
        if not value:
            if optional:
                return ""
            value = default
        try:
            parts = urlsplit(value)
            good = parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.username
            _ = parts.port
        except ValueError:
            good = False
        if good and name.startswith("BINANCE_LIVE_") and parts.scheme != schemes[-1]:
            raise ImproperlyConfigured(
                f"{name} is {value!r}: keys and orders for real money travel encrypted only. Write {schemes[-1]}://host."
            )
        if not good:
            raise ImproperlyConfigured(
                f"{name} is {value!r}: write {schemes[-1]}://host or {schemes[0]}://host:port."
            )
        return value

    def public_url(self) -> str:
        """Return under which address people reach the web, without a slash at its end; nothing when it is not said."""
        return self._url("PUBLIC_URL", "", ("http", "https")) if self.text("PUBLIC_URL") else ""

    def timeframe(self) -> str:
        value = self.text("TIMEFRAME", "1m") or "1m"
        if value not in TIMEFRAMES:
            raise ImproperlyConfigured(f"TIMEFRAME is {value!r}: write one of {', '.join(TIMEFRAMES)}.")
        return value

    def strategies(self) -> dict[str, str]:
        """Return the path of each strategy by its name; the examples where none is named. Their code is not loaded here."""
        found = {}
        for part in self.texts("STRATEGIES") or STRATEGIES.split(","):
            name, _, path = (piece.strip() for piece in part.partition("="))
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name) or not re.fullmatch(r"[\w.]+:\w+", path):
                raise ImproperlyConfigured(
                    f"STRATEGIES holds {part!r}: write name=module:Class with commas, as in "
                    "breakout=signals.strategies.examples.breakout:Breakout."
                )
            found[name] = path
        return found

    def symbols(self, name: str) -> list[str]:
        found = [symbol.upper() for symbol in self.texts(name)]
        for symbol in found:
            if not re.fullmatch(r"[\w]{2,40}", symbol):
                raise ImproperlyConfigured(
                    f"{name} holds {symbol!r}: write symbols with commas, as in BTCUSDT,ETHUSDT."
                )
        return list(dict.fromkeys(found))


def _require_strong(name: str, key: str) -> None:
    if len(key) < KEY_LENGTH_MIN:
        raise ImproperlyConfigured(
            f"{name} is too short ({len(key)} characters): use at least {KEY_LENGTH_MIN}, random ones."
        )
    if len(set(key)) < KEY_CHARACTERS_MIN:
        raise ImproperlyConfigured(
            f"{name} is too easy to guess (only {len(set(key))} different characters): use random ones."
        )
