"""Guards at the doors: who may do what, by page, queue or command, and what an attempt is told."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

ROLES: Final = "tests/unit/orders/admin/test_roles.py"
LOGIN: Final = "tests/unit/backoffice/test_login_limits.py"
FUZZ: Final = "tests/unit/orders/admin/test_fuzz.py"
ACTIONS: Final = "tests/unit/orders/admin/test_actions.py"
SECRETS: Final = "tests/unit/accounts/test_secrets.py"
ROLE: Final = "tests/unit/local_servers/test_role.py"
ONCE: Final = "tests/unit/worker/test_runworker_once.py"
SETTINGS: Final = "tests/unit/backoffice/test_settings.py"
SERVE: Final = "tests/unit/local_servers/test_serve.py"
PAGES: Final = "tests/unit/orders/admin/test_secrets_on_pages.py"
JOBS: Final = "tests/unit/worker/test_rq_worker.py"

NONSENSE: Final = "tests/unit/orders/cli/test_nonsense.py"
MOMENTS: Final = "tests/unit/orders/domain/test_moments.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "only our own jobs run",
        "P7",
        "whoever can write into the queue runs anything beside the master key",
        (
            Removal(
                "worker/rq_worker.py",
                "found = None if self.instance else LISTED.get(str(self.func_name))",
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
                "infrastructure/client_address.py",
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
        (Removal("backoffice/error_answers.py", "if not _is_key(field, value):", "if False:"),),
        (f"{FUZZ}::test_what_names_no_row_is_refused_with_a_sentence",),
    ),
    Guard(
        "what is placed is what was seen",
        "P5",
        "a size that somebody else saved meanwhile is placed",
        (
            Removal(
                "orders/queueing/check.py",
                "if seen is not None and (changes := spec_changes(trio, seen)):",
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
                'if shown == "":\n        shown = None\n    if False:',
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
        ("tests/unit/signals/test_hooks.py::test_an_error_page_shows_no_secret_of_a_post_even_with_debug",),
    ),
    Guard(
        "our code is no superuser of the database",
        "P7",
        "a statement that somebody slips in runs a program beside the master key",
        (
            Removal(
                "local_servers/django_backend/base.py",
                "{manager.ROLE} NOSUPERUSER",
                "{manager.ROLE} SUPERUSER",
            ),
        ),
        (f"{ROLE}::test_what_an_earlier_version_made_is_handed_over_to_a_role_that_is_no_superuser",),
    ),
    Guard(
        "the role logs in when all is handed over",
        "P7",
        "a hand-over that was cut short leaves tables that our role cannot read, and nothing starts",
        (
            Removal(
                "local_servers/django_backend/base.py",
                "SELECT FROM pg_roles WHERE rolname = %s AND rolcanlogin",
                "SELECT FROM pg_roles WHERE rolname = %s",
            ),
        ),
        (f"{ROLE}::test_what_an_earlier_version_made_is_handed_over_to_a_role_that_is_no_superuser",),
    ),
    Guard(
        "the servers get no key",
        "P7",
        "the environment of PostgreSQL, Valkey or the simulator shows the master key",
        (
            Removal(
                "local_servers/manager.py",
                'if name in PASSED_ON or name.startswith("LC_")}',
                "}",
            ),
        ),
        ("tests/unit/local_servers/test_manager.py::test_the_servers_get_no_key_of_ours",),
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
        "a pass that could not read an account says so",
        "P8",
        "a nightly “runworker --once” ends with 0 though no account was read",
        (Removal("worker/management/commands/runworker.py", "        if unread:\n", "        if False:\n"),),
        (
            f"{ONCE}::test_an_account_whose_exchange_does_not_answer_was_not_read",
            f"{ONCE}::test_an_account_whose_key_cannot_be_decrypted_was_not_read",
        ),
    ),
    Guard(
        "health answers a load balancer",
        "P8",
        "a load balancer, which asks by address and without TLS, takes a healthy installation for dead",
        (
            Removal(
                "backoffice/health.py",
                "return healthz(request) if request.path == HEALTH_PATH else self.get_response(request)",
                "return self.get_response(request)",
            ),
        ),
        ("tests/unit/backoffice/test_web.py::test_health_answers_a_load_balancer",),
    ),
    Guard(
        "a database that is down is one sentence",
        "P8",
        "a command ends in a traceback instead of what to do",
        (
            Removal(
                "manage.py",
                "except (OperationalError, InterfaceError) as error:",
                "except ZeroDivisionError as error:",
            ),
        ),
        (f"{SETTINGS}::test_a_database_that_is_down_is_one_sentence",),
    ),
    Guard(
        "a run folder that cannot be written is one sentence",
        "P8",
        "a command ends in a traceback instead of what to do",
        (
            Removal(
                "manage.py", "except EmbeddedServersError as error:", "except ZeroDivisionError as error:"
            ),
        ),
        (f"{SETTINGS}::test_a_run_folder_that_cannot_be_written_is_one_sentence",),
    ),
    Guard(
        "a file of settings is text",
        "P8",
        "a command ends in a traceback instead of what to do",
        (Removal("backoffice/env.py", 'if "\\0" in text:', "if False:"),),
        (f"{SETTINGS}::test_a_file_of_settings_that_is_no_text_is_one_sentence",),
    ),
    Guard(
        "keys for real money travel encrypted",
        "P7",
        "an http:// address for LIVE sends the key in clear through every network on the way",
        (
            Removal(
                "backoffice/env.py",
                'if good and name.startswith("BINANCE_LIVE_") and parts.scheme != schemes[-1]:',
                "if False:",
            ),
        ),
        (f"{SETTINGS}::test_a_wrong_setting_is_one_sentence",),
    ),
    Guard(
        "a verb on a restored copy is refused",
        "P5",
        "somebody closes a trio in a copy that nobody carries out, and goes home",
        (Removal("orders/cli/commands.py", "if refusal := install_refusal():", 'if refusal := "":'),),
        ("tests/unit/orders/cli/test_commands.py::test_a_verb_on_a_restored_copy_is_refused",),
    ),
    Guard(
        "who starts a server by hand is told that it ends with the shell",
        "P8",
        "the web dies with the shell in which somebody started it, and nobody knew that it would",
        (Removal("local_servers/serve.py", "sys.stderr.write(DIES_WITH_SHELL)", "pass"),),
        (f"{SERVE}::test_at_a_terminal_it_is_said_that_it_ends_with_the_shell",),
    ),
    Guard(
        "the lock carries the hash that others expect",
        "P8",
        "a fresh clone resolves everything anew, and runs on versions that nobody has tried",
        (
            Removal(
                "local_servers/pipfile_lock.py",
                '    lock["_meta"]["hash"]["sha256"] = pipfile_hash(tomllib.loads(path.with_name("Pipfile").read_text()))\n',
                "",
            ),
        ),
        (
            "tests/unit/backoffice/test_tree.py"
            "::test_a_lock_made_where_an_index_is_configured_gets_the_hash_that_all_others_expect",
        ),
    ),
    Guard(
        "what was typed as a key does not come back",
        "P7",
        "a form that was refused shows the API key to whoever stands behind",
        (
            Removal(
                "accounts/forms.py",
                "    def format_value(self, value: Any) -> None:\n        return None\n",
                "    pass\n",
            ),
        ),
        (f"{PAGES}::test_no_page_shows_a_secret[as-it-is]",),
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
    Guard(
        "nobody waits for a silent exchange",
        "P5",
        "a page or place_trio hangs for as long as any request of a worker may take while the exchange says nothing",
        (
            Removal(
                "exchange/deadlines.py",
                "    return timeout_ms if limit is None else min(timeout_ms, limit)\n",
                "    return timeout_ms\n",
            ),
        ),
        ("tests/unit/orders/cli/test_commands.py::test_an_exchange_that_says_nothing_is_not_waited_for",),
    ),
    Guard(
        "who placed knows whether it was placed",
        "P5",
        "the database falls silent after a trio was queued, and the person who is told nothing places it once more",
        (
            Removal(
                "orders/management/commands/place_trio.py",
                '        except UNANSWERED as error:\n            raise TrioRefused(\n                f"{database_silent(error)} Trio',
                '        except ZeroDivisionError as error:\n            raise TrioRefused(\n                f"{database_silent(error)} Trio',
            ),
        ),
        (
            "tests/unit/orders/cli/test_commands.py::"
            "test_a_database_that_falls_silent_leaves_no_doubt_about_what_was_placed[after]",
        ),
    ),
    Guard(
        "only who carries a trio keeps its place in the air",
        "P5",
        "a place that was given while nobody listened is asked for again and again, and holds up every new entry for a minute",
        (Removal("orders/placement/admission.py", "if keeps then redis.call", "if true then redis.call"),),
        (
            "tests/unit/orders/placement/test_admission.py::"
            "test_a_place_that_nobody_carries_is_free_by_time_however_often_it_is_asked_for",
        ),
    ),
    Guard(
        "a slip names no other trio",
        "P6",
        "“close_trio 1_000” closes trio 1000, and digits of another script name whichever trio they come to",
        (Removal("accounts/cli.py", 're.fullmatch(r"-?[0-9]{1,19}", text) and ', ""),),
        (f"{NONSENSE}::test_a_slip_names_no_other_number",),
    ),
    Guard(
        "a trio is given no moment beyond reckoning",
        "P5",
        "a good-till in the last hours of the year 9999 is stored as one of the year 10000, and no process can read its trio again",
        (
            Removal(
                "orders/domain/moments.py", " if moment - now > AHEAD_MAX else None", " if False else None"
            ),
        ),
        (f"{MOMENTS}::test_a_moment_is_later_than_now_and_near_enough_to_reckon_with",),
    ),
)
