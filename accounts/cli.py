"""Commands that scripts drive: one JSON document on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from argparse import ArgumentParser
from dataclasses import dataclass
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from django.db import ProgrammingError

from accounts.errors import AccountsError
from infrastructure.connections import UNANSWERED, database_silent
from infrastructure.patience import limit_waits

REFUSED = 2
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command found: for programs, for people, and the exit code."""

    document: dict[str, Any]
    sentence: str
    exit_code: int = 0


class ScriptCommand(BaseCommand):
    """A command for scripts. ``run`` does it, or raises one of ``refusals`` (exit code 2)."""

    refusals: tuple[type[Exception], ...] = (AccountsError,)
    requires_system_checks: Any = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if "--json" in sys.argv:

            def error(message: str) -> NoReturn:
                parser.print_usage(sys.stderr)
                self._refuse(f"{message}.", as_json=True)

            parser.error = error  # type: ignore[method-assign]  # a script gets JSON for wrong options too
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="print one JSON document instead of a sentence"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = bool(options["json"])
        limit_waits()
        try:
            result = self.run(**options)
        except self.refusals as error:
            self._refuse(str(error), as_json=as_json)
        except UnicodeError:
            self._refuse("This is not valid text: write names and symbols in UTF-8.", as_json=as_json)
        except KeyboardInterrupt:
            self.stderr.write("Stopped.")
            sys.exit(INTERRUPTED)
        except ProgrammingError:
            self._refuse(
                "The database does not have this program's tables yet: run “manage.py migrate”.",
                as_json=as_json,
            )
        except UNANSWERED as error:
            self._refuse(database_silent(error), as_json=as_json)
        self.stdout.write(json.dumps(result.document, ensure_ascii=False) if as_json else result.sentence)
        if result.exit_code:
            sys.exit(result.exit_code)

    @abstractmethod
    def run(self, **options: Any) -> CommandResult:
        """Do it. Raises one of ``refusals`` with a sentence that says why not."""

    def _refuse(self, sentence: str, *, as_json: bool) -> NoReturn:
        if as_json:
            self.stdout.write(json.dumps({"error": sentence}, ensure_ascii=False))
        else:
            self.stderr.write(sentence)
        sys.exit(REFUSED)
