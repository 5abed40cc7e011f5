"""Guards at the doors: who may do what, by page, queue or command, and what an attempt is told."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

ROLES: Final = "tests/unit/orders/admin/test_roles.py"
LOGIN: Final = "tests/unit/backoffice/test_login_limits.py"
FUZZ: Final = "tests/unit/orders/admin/test_fuzz.py"
ACTIONS: Final = "tests/unit/orders/admin/test_actions.py"
SECRETS: Final = "tests/unit/accounts/test_secrets.py"
JOBS: Final = "tests/unit/worker/test_rq_worker.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "only our own jobs run",
        "P7",
        "whoever can write into the queue runs anything beside the master key",
        (
            Removal(
                "worker/rq_worker.py",
                "found = None if self.instance else jobs.LISTED.get(str(self.func_name))",
                "found = super().func",
            ),
        ),
        (f"{JOBS}::test_nothing_but_our_own_jobs_is_run",),
    ),
    Guard(
        "a job brings no callbacks",
        "P7",
        "a job of ours with a callback runs anything after it",
        (
            Removal(
                "worker/rq_worker.py",
                "        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None\n",
                "",
            ),
        ),
        (f"{JOBS}::test_nothing_around_a_job_of_ours_is_run",),
    ),
    Guard(
        "history is only looked at",
        "P7",
        "who may only look rewrites an account by posting the form of its history",
        (
            Removal(
                "infrastructure/admin_pages.py",
                'if request.method not in ("GET", "HEAD"):',
                "if False:",
            ),
        ),
        (f"{ROLES}::test_nobody_rewrites_a_row_from_its_history",),
    ),
    Guard(
        "an address is who a trusted proxy says it is",
        "P7",
        "a forged header lets passwords be tried without end, or one thief locks everybody out",
        (
            Removal(
                "backoffice/login_limits.py",
                "if not any(found in network for network in settings.TRUSTED_PROXIES):",
                "if False:",
            ),
        ),
        (f"{LOGIN}::test_a_forged_header_gets_nobody_further",),
    ),
    Guard(
        "one password on many names is stopped",
        "P7",
        "a common password is tried on every name there is",
        (
            Removal(
                "backoffice/login_limits.py",
                "if (tried or 0) >= ADDRESS_FAILURES_MAX else failures",
                "if False else failures",
            ),
        ),
        (f"{LOGIN}::test_one_password_on_many_names_locks_the_address",),
    ),
    Guard(
        "what is no key is refused before it is looked up",
        "P7",
        "an address or a field with nonsense in it is an error of ours",
        (Removal("backoffice/refusals.py", "if not _is_key(field, value):", "if False:"),),
        (f"{FUZZ}::test_what_names_no_row_is_refused_with_a_sentence",),
    ),
    Guard(
        "what is placed is what was seen",
        "P5",
        "a size that somebody else saved meanwhile is placed",
        (
            Removal(
                "orders/services.py",
                "if seen is not None and (changes := spec_changes(draft, seen)):",
                "changes: list[str] = []\n    if False:",
            ),
        ),
        (f"{ACTIONS}::test_a_draft_that_changed_since_it_was_shown_is_not_placed",),
    ),
    Guard(
        "nothing is placed that was not shown",
        "P5",
        "a request that comes from no dialog of ours places what nobody looked at",
        (
            Removal(
                "orders/admin/forms.py",
                "    if not isinstance(found, dict) or not found.keys() >= set(TrioOrder.SPEC_FIELDS):\n",
                "    found = found or {}\n    if not isinstance(found, dict):\n",
            ),
        ),
        (f"{ACTIONS}::test_what_does_not_say_what_it_showed_places_nothing",),
    ),
    Guard(
        "an answer is to the question that was shown",
        "P5",
        "“leave it” to one question leaves another as it is that nobody has read",
        (
            Removal(
                "orders/services.py",
                "if shown is not None and shown != question_shown(trio):",
                "if False:",
            ),
        ),
        (f"{ACTIONS}::test_an_answer_is_to_the_question_that_was_shown",),
    ),
    Guard(
        "an answer names its question",
        "P5",
        "a request that comes from no dialog of ours answers what nobody has read",
        (
            Removal(
                "orders/services.py",
                'if shown == "":',
                'if shown == "":\n            shown = None\n        if False:',
            ),
        ),
        (f"{ACTIONS}::test_an_answer_is_to_the_question_that_was_shown",),
    ),
    Guard(
        "a secret prints as dots",
        "P7",
        "an error page, a log line or a traceback shows an API secret",
        (
            Removal(
                "exchange/secret.py",
                "    def __repr__(self) -> str:\n        return HIDDEN\n",
                "    def __repr__(self) -> str:\n        return self.reveal()\n",
            ),
        ),
        (f"{SECRETS}::test_a_secret_prints_as_dots_and_is_neither_pickled_nor_copied",),
    ),
    Guard(
        "an error page hides what carries a secret",
        "P7",
        "with DEBUG the page of an error 500 prints what was typed",
        (Removal("backoffice/error_pages.py", "        return True\n", "        return False\n"),),
        (f"{SECRETS}::test_an_error_page_shows_no_secret_even_with_debug",),
    ),
    Guard(
        "the control door is for this machine",
        "P7",
        "a page in somebody's browser moves the simulator's prices and reads its state",
        (Removal("simulator/server/control.py", "if refusal := _foreign(request):", 'if refusal := "":'),),
        ("tests/unit/simulator/test_process.py::test_the_control_door_is_for_this_machine_alone",),
    ),
    Guard(
        "the simulator's journal holds hashes",
        "P7",
        "a journal that is sent with a report holds API secrets",
        (
            Removal(
                "simulator/persistence/store.py",
                "            for name in HIDDEN_FIELDS:\n",
                "            for name in ():\n",
            ),
        ),
        ("tests/unit/simulator/test_store.py::test_the_journal_holds_no_secret_and_no_listen_key",),
    ),
    Guard(
        "nobody waits for a silent database",
        "P5",
        "a page or command hangs while PostgreSQL is stopped, and nobody is told which server it is",
        (
            Removal(
                "infrastructure/patience.py", "    raise psycopg2.OperationalError(SILENT)\n", "    return\n"
            ),
        ),
        (
            "tests/unit/infrastructure/test_patience.py::test_a_server_that_accepts_and_says_nothing_is_not_waited_for",
        ),
    ),
)
