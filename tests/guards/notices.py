"""Guards round notices: delivery holds nobody up, reaches public addresses alone, tells nobody twice, and its URLs are secrets."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

ROOM: Final = "tests/unit/notices"
TOLD: Final = f"{ROOM}/test_a_question_is_told.py"
REACHED: Final = f"{ROOM}/test_where_it_may_go.py"
URLS: Final = f"{ROOM}/domain/test_urls.py"
SECRETS: Final = f"{ROOM}/test_secrets.py"
FOUND: Final = f"{ROOM}/test_what_is_told.py"
PEOPLE: Final = f"{ROOM}/test_people.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "looking for what is to be told has a thread of its own",
        "P4",
        "a slow table of notices holds up the loop that protects positions",
        (
            Removal(
                "worker/notice_poll.py",
                "        self._looking = self._pool.submit(_run_logged, self._look)\n",
                "        _run_logged(self._look)\n",
            ),
        ),
        (f"{TOLD}::test_nothing_of_it_runs_in_the_loops_thread",),
    ),
    Guard(
        "a gap that a person asked for alarms nobody",
        "P4",
        "people are told at night that a worker is at what a person wanted unprotected",
        (Removal("notices/deriving.py", "is not None and until > to_ms(now):", "is not None and False:"),),
        (f"{FOUND}::test_a_gap_that_a_person_asked_for_is_told_once_its_time_is_over",),
    ),
    Guard(
        "no connection is held while a message is sent",
        "P4",
        "services that hang use up the connections of the database",
        (Removal("notices/delivering.py", "        connection.close()\n", "        pass\n"),),
        (f"{TOLD}::test_no_connection_to_the_database_is_held_while_a_message_is_sent",),
    ),
    Guard(
        "a message that hangs is ended",
        "P4",
        "a service that never answers keeps everybody else from being told",
        (
            Removal(
                "notices/sender/process.py",
                " timeout=self._deadline_seconds)\n",
                " timeout=None)\n",
            ),
        ),
        (f"{TOLD}::test_a_service_that_hangs_is_one_failed_attempt_and_its_process_is_ended",),
    ),
    Guard(
        "a message that somebody sends is nobody else's",
        "P5",
        "two workers tell a person the same, each time",
        (
            Removal(
                "notices/delivering.py",
                "next_at = clock_timestamp() + %s * interval '1 second'\n",
                "next_at = clock_timestamp() + 0 * %s * interval '1 second'\n",
            ),
        ),
        (f"{TOLD}::test_a_worker_that_dies_while_it_sends_loses_nothing",),
    ),
    Guard(
        "lines that may still appear are read again",
        "P6",
        "a trio asks in a transaction that commits late, and nobody is told",
        (
            Removal(
                "notices/deriving.py",
                "    rows = model._default_manager.filter(id__gt=position, at__lt=now - SETTLED)\n",
                "    rows = model._default_manager.filter(id__gt=position)\n",
            ),
        ),
        (f"{FOUND}::test_what_commits_after_what_began_later_is_not_passed_over",),
    ),
    Guard(
        "what matters waits for nothing",
        "P4",
        "a position without a stop is told in the morning",
        (
            Removal(
                "notices/domain/timing.py",
                "    if severity is Severity.URGENT:\n        return now\n",
                "",
            ),
        ),
        (f"{ROOM}/domain/test_timing.py::test_what_matters_waits_for_nothing",),
    ),
    Guard(
        "an address is judged when it is connected to",
        "P7",
        "a name that leads into our own network makes this program speak to what is there",
        (
            Removal(
                "notices/sender/child.py",
                "            if not is_allowed(str(host), self._also):\n",
                "            if not host:\n",
            ),
        ),
        (f"{REACHED}::test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_connected_to",),
    ),
    Guard(
        "an address of IPv6 is judged by what it stands for",
        "P7",
        "a private address is reached in another spelling",
        (
            Removal(
                "notices/domain/addresses.py",
                "        if inner is not None:\n            return _is_public(inner)\n",
                "",
            ),
        ),
        (f"{ROOM}/domain/test_addresses.py::test_everything_else_is_refused",),
    ),
    Guard(
        "a redirect is not followed",
        "P7",
        "a service sends the message, and who asks, wherever it likes",
        (
            Removal("notices/sender/child.py", "        http_redirects=False,\n", ""),
            Removal("notices/sender/child.py", '"redirect": False}', '"redirect": True}'),
            Removal(
                "notices/sender/child.py",
                "    made.verify_certificate, made.redirects = True, False\n",
                "",
            ),
        ),
        (f"{REACHED}::test_a_redirect_is_not_followed",),
    ),
    Guard(
        "the sending process reads no file of ours",
        "P7",
        "an option of a URL sends the master key to whoever wrote it",
        (
            Removal(
                "notices/sender/child.py",
                " and not _is_readable(arguments):\n",
                " and False:\n",
            ),
        ),
        (f"{REACHED}::test_no_file_of_this_machine_is_read_whatever_opens_it",),
    ),
    Guard(
        "only services that are listed are spoken to",
        "P7",
        "a URL names any of two hundred protocols, unencrypted ones among them",
        (
            Removal(
                "notices/domain/urls.py",
                "    if scheme not in services(also):\n",
                "    if not scheme:\n",
            ),
        ),
        (f"{URLS}::test_what_is_refused_is_named_and_nothing_of_it_repeated",),
    ),
    Guard(
        "options that disarm are refused",
        "P7",
        "a URL switches the check of certificates off",
        (
            Removal(
                "notices/domain/urls.py",
                "        if option in FORBIDDEN:\n",
                "        if not option:\n",
            ),
        ),
        (f"{URLS}::test_what_is_refused_is_named_and_nothing_of_it_repeated",),
    ),
    Guard(
        "the sending process has an empty environment",
        "P7",
        "what a URL makes it do finds the master key beside it",
        (Removal("notices/sender/process.py", "            env={},\n", "            env=None,\n"),),
        (f"{REACHED}::test_the_url_is_in_no_argument_and_no_environment",),
    ),
    Guard(
        "a URL that was typed is not shown again",
        "P7",
        "a page that comes back with an error shows the token",
        (Removal("notices/admin.py", "render_value=False", "render_value=True"),),
        (f"{SECRETS}::test_a_url_that_is_refused_is_explained_beside_its_field_and_not_shown",),
    ),
    Guard(
        "an error page hides what carries a URL",
        "P7",
        "with DEBUG the page of an error 500 prints the token",
        (
            Removal(
                "backoffice/error_pages.py",
                '        *("notices.sender.process", "subprocess"),\n',
                "",
            ),
        ),
        (f"{SECRETS}::test_an_error_page_shows_no_url_even_with_debug",),
    ),
    Guard(
        "everybody sees their own notices alone",
        "P7",
        "who may see trios replaces somebody else's URL, and gets their messages",
        (
            Removal(
                "notices/admin.py",
                "        return rows if request.user.is_superuser else rows.filter(**{self.owner: request.user})\n",
                "        return rows\n",
            ),
        ),
        (f"{PEOPLE}::test_a_person_sees_and_changes_their_own_alone",),
    ),
    Guard(
        "who may not see trios is told nothing of them",
        "P7",
        "somebody who has left is told of every trade",
        (
            Removal(
                "notices/deriving.py",
                ' and user.has_perm("orders.view_trioorder")\n',
                "\n",
            ),
        ),
        (f"{TOLD}::test_a_person_who_may_not_see_trios_any_more_is_told_nothing",),
    ),
)
