"""Guards on the wire: one request, one send, one deadline, and what an answer means."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

WIRE: Final = "tests/unit/exchange/test_wire_guardrails.py"
TABLE: Final = "tests/unit/exchange/test_errors_table.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "redirects are not followed",
        "P2",
        "an order is sent a second time, to another place",
        (
            Removal("exchange/binance/http.py", "session.max_redirects = 0 ", "session.max_redirects = 30 "),
            Removal("exchange/binance/transport.py", "        if flight.sends:\n", "        if False:\n"),
        ),
        (f"{WIRE}::test_a_redirected_order_never_reaches_another_place",),
    ),
    Guard(
        "nothing is sent twice by itself",
        "P2",
        "the library repeats a cancel that was done, and its answer says it was never there",
        (
            Removal("exchange/binance/http.py", "retries=0,", "retries=3,"),
            Removal("exchange/binance/transport.py", "        if flight.sends:\n", "        if False:\n"),
        ),
        (f"{WIRE}::test_a_cancel_is_sent_once_too",),
    ),
    Guard(
        "one deadline for a whole answer",
        "P4",
        "an answer that drips in byte by byte holds its thread for as long as it likes",
        (
            Removal(
                "exchange/binance/transport.py",
                "socket.socket.shutdown(self._sock, socket.SHUT_RDWR)",
                "pass",
            ),
        ),
        (f"{WIRE}::test_one_deadline_covers_head_and_body",),
    ),
    Guard(
        "no proxy diverts an order",
        "P2, P7",
        "a variable of the environment sends orders through another machine",
        (Removal("exchange/binance/http.py", "session.trust_env = False ", "session.trust_env = True "),),
        (f"{WIRE}::test_no_proxy_from_the_environment_diverts_an_order",),
        raises=("ExchangeUnavailable",),  # the proxy is not there
    ),
    Guard(
        "a 5xx is unknown, not failed",
        "P2, P4",
        "an order that a 502 hid is sent again",
        (
            Removal(
                "exchange/binance/errors.py",
                "    if status == 408 or status >= 500 or status < 400:\n        return OutcomeUnknown",
                "    if status == 408 or status >= 500 or status < 400:\n        return ExchangeUnavailable",
            ),
        ),
        (f"{TABLE}::test_statuses",),
    ),
    Guard(
        "Service Unavailable is taken by its exact words",
        "P2",
        "a 503 that says “may be executed” is taken for one that was not",
        (
            Removal(
                "exchange/binance/errors.py",
                'return text.strip().rstrip(".").lower() == "service unavailable"',
                'return text.lower().startswith("service unavailable")',
            ),
        ),
        (f"{TABLE}::test_statuses",),
    ),
    Guard(
        "a foreign answer is unknown",
        "P2, P4",
        "a page of a proxy with status 200 counts as a refusal",
        (
            Removal(
                "exchange/binance/errors.py",
                "found = ExchangeUnavailable if reading else OutcomeUnknown\n    code, _ =",
                "found = ExchangeUnavailable\n    code, _ =",
            ),
        ),
        (f"{WIRE}::test_an_answer_that_settles_nothing_is_unknown_and_nothing_is_sent_again",),
        raises=("ExchangeUnavailable",),  # instead of OutcomeUnknown
    ),
    Guard(
        "no signature in a log",
        "P7",
        "a log at DEBUG shows what signs",
        (
            Removal(
                "exchange/redaction.py",
                'return _STREAM_KEY.sub(r"\\1[hidden]", _SECRETS.sub(r"\\1\\2[hidden]", text))',
                "return text",
            ),
        ),
        ("tests/unit/exchange/test_redaction.py::test_keys_and_signatures_are_hidden",),
    ),
)
