"""Commands that scripts drive: one JSON document on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from abc import abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from django.db import ProgrammingError

from accounts.errors import AccountsError
from infrastructure.connections import UNANSWERED, database_silent
from infrastructure.patience import limit_waits

REFUSED = 2
INTERRUPTED = 130
ID_MAX: Final = 2**63 - 1
LONG_WORD: Final = re.compile(r"\S{121,}")
SENTENCE_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command found: for programs, for people, and the exit code."""

    document: dict[str, Any]
    sentence: str
    exit_code: int = 0


def whole(what: str, *, least: int = 1, most: int = ID_MAX, such_as: str = "") -> Callable[[str], int]:
    """Return what reads a whole number as it is written with the digits 0 to 9, and nothing that Python would take for one.

    “1_000” and digits of other scripts are refused: a slip must not name another trio.
    """
    hint = f"such as {such_as}" if such_as else f"from {least} to {most}"

    def read(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,19}", text) and least <= int(text) <= most:
            return int(text)
        raise ArgumentTypeError(f"“{text}” is not a valid {what}: write a whole number, {hint}")

    return read


def trio_number(text: str) -> int:
    """Read the number of a trio. Raises ArgumentTypeError."""
    return whole("trio number", such_as="12, as “list_trios” shows it")(text)


def shown(sentence: str) -> str:
    """Return a sentence on one line and of readable length, whatever was typed is in it."""
    sentence = "".join(sign if sign.isprintable() else "�" for sign in sentence.replace("\n", " "))
    sentence = LONG_WORD.sub(lambda word: f"{word.group()[:60]}…{word.group()[-20:]}", sentence)
    return sentence if len(sentence) <= SENTENCE_MAX else f"{sentence[:SENTENCE_MAX]}…"


class ScriptCommand(BaseCommand):
    """A command for scripts. ``run`` does it, or raises one of ``refusals`` (exit code 2)."""

    refusals: tuple[type[Exception], ...] = (AccountsError,)
    requires_system_checks: Any = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)

        def error(message: str) -> NoReturn:
            parser.print_usage(sys.stderr)
            self.refuse(f"{message}.", as_json="--json" in sys.argv)

        parser.error = error  # type: ignore[method-assign]  # wrong options are refused like any bad input
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="print one JSON document instead of a sentence"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = bool(options["json"])
        if any(value == [] or (isinstance(value, list) and [] in value) for value in options.values()):
            self.refuse(
                "“--” is not a value: write one after the option's “=”.", as_json=as_json
            )  # argparse gives [] for it; no option has that by default
        limit_waits()
        try:
            result = self.run(**options)
        except self.refusals as error:
            self.refuse(str(error), as_json=as_json)
        except UnicodeError:
            self.refuse("This is not valid text: write names and symbols in UTF-8.", as_json=as_json)
        except KeyboardInterrupt:
            self.stderr.write("Stopped.")
            sys.exit(INTERRUPTED)
        except ProgrammingError:
            self.refuse(
                "The database does not have this program's tables yet: run “manage.py migrate”.",
                as_json=as_json,
            )
        except UNANSWERED as error:
            self.refuse(database_silent(error), as_json=as_json)
        self.stdout.write(json.dumps(result.document, ensure_ascii=False) if as_json else result.sentence)
        if result.exit_code:
            sys.exit(result.exit_code)

    @abstractmethod
    def run(self, **options: Any) -> CommandResult:
        """Do it. Raises one of ``refusals`` with a sentence that says why not."""

    def refuse(self, sentence: str, *, as_json: bool, code: int = REFUSED) -> NoReturn:
        """Say why not, and end."""
        if as_json:
            self.stdout.write(json.dumps({"error": shown(sentence)}, ensure_ascii=False))
        else:
            self.stderr.write(shown(sentence))
        sys.exit(code)
