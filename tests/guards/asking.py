"""Guards on what a person is asked, and on what the exchange's answers are taken to mean."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

ANSWERS: Final = "tests/unit/orders/domain/test_answers_stick.py"
RESTRICTIONS: Final = "tests/unit/orders/placement/test_restrictions.py"
BANS: Final = "tests/unit/orders/placement/test_bans.py"
MARGIN: Final = "tests/unit/orders/test_margin.py"
DRAFT: Final = "tests/unit/orders/admin/test_draft.py"
PAGES: Final = "tests/unit/orders/admin/test_pages.py"
QUESTIONS: Final = "tests/unit/orders/placement/test_questions.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "an answer sticks",
        "P4",
        "a question that was answered is asked again with every look, and nobody reads questions any more",
        (
            Removal(
                "orders/domain/snapshot.py",
                "known = self.answered if self.question is None else (*self.answered, self.question)",
                "known = () if self.question is None else (self.question,)",
            ),
        ),
        (f"{ANSWERS}::test_no_sequence_of_answers_and_facts_asks_the_same_thing_twice",),
    ),
    Guard(
        "an answer is about its facts",
        "P4",
        "a target refused for another reason is left to an answer given before",
        (
            Removal(
                "orders/domain/operator_questions.py",
                '), ("code", "generation", "quantity")),',
                '), ("quantity",)),',
            ),
        ),
        (f"{ANSWERS}::test_a_refused_target_is_another_question_when_the_code_or_its_generation_is_another",),
    ),
    Guard(
        "a question that had to make way is kept",
        "P6",
        "a change on the account that was noticed once is never asked about, because something else was",
        (
            Removal(
                "orders/story.py",
                "if asked is not None and asked.kind in ASKED_ONCE:",
                "if False:",
            ),
        ),
        (f"{QUESTIONS}::test_a_question_of_somebody_else_waits_for_the_one_that_overwrote_it",),
    ),
    Guard(
        "a restricted account opens nothing new",
        "P8, P10",
        "entries go on to be refused while the exchange lets the account only reduce, or not trade at all",
        (
            Removal(
                "orders/risk_gates.py",
                "    if account.restriction:\n        return restriction_sentence(account)\n",
                "",
            ),
        ),
        (f"{RESTRICTIONS}::test_new_entries_of_a_restricted_account_stop_and_what_protects_goes_on[-4400]",),
    ),
    Guard(
        "a row that cannot be had holds up no other trio of a panic",
        "P4",
        "one process that hangs keeps a panic from closing everything that comes after its trio",
        (
            Removal(
                "orders/panic.py", "        except OperationalError:\n", "        except ZeroDivisionError:\n"
            ),
        ),
        ("tests/unit/orders/admin/test_panic.py::test_a_row_that_cannot_be_had_holds_up_no_other_trio",),
        raises=("OperationalError",),
    ),
    Guard(
        "an account that a panic holds opens nothing new",
        "P8, P10",
        "what a panic has just closed is opened again by the next signal",
        (
            Removal(
                "orders/risk_gates.py",
                "    if account.held_at is not None:\n        return hold_sentence(account)\n",
                "",
            ),
        ),
        (
            "tests/unit/orders/admin/test_panic.py"
            "::test_a_panic_holds_its_account_until_a_person_with_the_right_releases_it",
        ),
    ),
    Guard(
        "an account that may not trade asks",
        "P4",
        "nobody looks at an account in liquidation, because its open trios say nothing",
        (
            Removal(
                "worker/settings_drift.py",
                "asks = _restriction_look(account) | _multi_assets_look(account)",
                "asks = _multi_assets_look(account)",
            ),
        ),
        (f"{RESTRICTIONS}::test_new_entries_of_a_restricted_account_stop_and_what_protects_goes_on[-2023]",),
    ),
    Guard(
        "a full order window holds back entries, from the first refusal on",
        "P9, P4",
        "entries go on into the window that the account has used up, and its stops are refused again",
        (
            Removal(
                "accounts/rate_budget.py",
                "    if not protects and shut > now then return {3, shut - now, processes, ''} end\n",
                "",
            ),
        ),
        (f"{BANS}::test_a_stop_refused_for_the_accounts_window_holds_back_its_entries_at_once[1]",),
    ),
    Guard(
        "what protects tries again as soon as the window may have room",
        "P4",
        "a stop waits for the window's end, and the position is closed although a second try would have covered it",
        (
            Removal(
                "exchange/binance/limits.py",
                "return min(_order_window_ms(answer.retry_after, words, exchange_ms))",
                "return max(_order_window_ms(answer.retry_after, words, exchange_ms))",
            ),
        ),
        (f"{BANS}::test_a_stop_refused_for_the_accounts_window_holds_back_its_entries_at_once[1]",),
    ),
    Guard(
        "a result is net of its fees",
        "P6",
        "a trio that lost money after fees is shown as a gain",
        (Removal("orders/selectors.py", "return self.realized - self.fees", "return self.realized"),),
        ("tests/unit/orders/test_net_pnl.py::test_net_pnl_is_the_exchanges_own_to_the_last_digit[100030]",),
    ),
    Guard(
        "commands name a person",
        "P6",
        "who closed a position by a command cannot be found out afterwards",
        (Removal("orders/management/commands/close_trio.py", "by=os_operator()", 'by="close_trio"'),),
        ("tests/unit/orders/cli/test_commands.py::test_a_command_names_the_person_and_the_machine",),
    ),
    Guard(
        "free margin is checked before anything is sent",
        "P3",
        "an entry is refused for margin when its legs rest already",
        (Removal("orders/domain/validation.py", "    yield from _margin(spec, market)\n", ""),),
        (f"{MARGIN}::test_too_little_free_margin_is_refused_before_anything_is_sent",),
    ),
    Guard(
        "what is promised to trios on their way is not free",
        "P3, P8",
        "of a bulk each trio counts the same money, and the last ones are refused with their legs out",
        (
            Removal(
                "orders/domain/validation.py",
                "free = market.available - market.promised",
                "free = market.available",
            ),
        ),
        (f"{MARGIN}::test_what_is_promised_to_one_is_not_free_for_the_next",),
    ),
    Guard(
        "in multi-assets mode the whole account is margin",
        "P8",
        "an account that holds another coin than it trades in is said to have nothing",
        (
            Removal(
                "orders/queueing/market.py",
                "    if account.multi_assets_since is None:\n        return Funds({view.asset",
                "    if True:\n        return Funds({view.asset",
            ),
        ),
        ("tests/unit/orders/test_multi_assets.py::test_what_one_asset_has_is_margin_for_another",),
        raises=("RuleBroken",),
    ),
    Guard(
        "the search offers what the wallet pays first",
        "P8",
        "Enter chooses a contract in another coin than the account holds",
        (
            Removal(
                "orders/admin/symbols.py",
                'found.order_by(likeness, paid_from, "symbol")',
                'found.order_by(likeness, "symbol")',
            ),
        ),
        (f"{DRAFT}::test_the_search_offers_the_coin_against_the_wallets_money_first",),
    ),
    Guard(
        "nobody watching is said",
        "P4",
        "a trio whose account nobody watches looks watched",
        (
            Removal(
                "orders/selectors.py",
                "timezone.now() - watch.beat < WATCH_SILENT_FOR",
                "bool(watch.beat)",
            ),
        ),
        (f"{PAGES}::test_a_trio_whose_account_nobody_watches_says_so",),
    ),
    Guard(
        "what never gets through is tried ever less often",
        "P9",
        "a target that the exchange does not take for an hour is sent five times a second, each with lines in the journal",
        (
            Removal(
                "orders/placement/finish.py",
                "min(BACK_OFF_MS << min(tries - 1, 10), most)",
                "BACK_OFF_MS",
            ),
        ),
        (
            "tests/unit/orders/placement/test_unreadable.py::"
            "test_a_target_that_never_gets_through_is_tried_ever_less_often",
        ),
    ),
)
