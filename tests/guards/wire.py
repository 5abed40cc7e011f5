"""Guards on the wire: one request, one send, one deadline, and what an answer means."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

WIRE: Final = "tests/unit/exchange/test_wire_guardrails.py"
CONNECTIONS: Final = "tests/unit/exchange/test_connections.py"
TABLE: Final = "tests/unit/exchange/test_errors_table.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "redirects are not followed",
        "P2",
        "an order is sent a second time, to another place",
        (
            Removal(
                "exchange/binance/http.py",
                "            answer = self._transport.send(outgoing, flight)\n",
                "            answer = self._transport.send(outgoing, flight)\n"
                "            while location := answer.headers.get('location'):\n"
                "                outgoing = Outgoing(method, location, outgoing.query, outgoing.headers)\n"
                "                answer = self._transport.send(outgoing, flight)\n",
            ),
        ),
        (f"{WIRE}::test_a_redirected_order_never_reaches_another_place",),
    ),
    Guard(
        "nothing is sent twice by itself",
        "P2",
        "a cancel that was done is repeated, and its answer says it was never there",
        (
            Removal(
                "exchange/binance/http.py",
                "        with contextlib.suppress(OSError, ValueError):\n",
                "        for _ in range(2):\n          with contextlib.suppress(OSError, ValueError):\n",
            ),
        ),
        (f"{WIRE}::test_a_cancel_is_sent_once_too",),
    ),
    Guard(
        "a connection that its server has closed is not used",
        "P2, P4",
        "orders and stops go into a connection that nobody reads, and each must be looked up first",
        (
            Removal(
                "exchange/binance/connections.py",
                "if time.monotonic() - since <= IDLE_SECONDS and not _is_readable(sock):",
                "if time.monotonic() - since <= IDLE_SECONDS:",
            ),
        ),
        (f"{CONNECTIONS}::test_an_order_goes_out_anew_where_the_server_has_closed_meanwhile",),
        raises=("OutcomeUnknown",),
    ),
    Guard(
        "what comes behind an answer is not taken for the next",
        "P2",
        "an order is taken for placed, or for refused, by an answer to another request",
        (
            Removal(
                "exchange/binance/answer_reader.py",
                "return answer, kept and incoming.is_empty",
                "return answer, kept",
            ),
        ),
        (f"{CONNECTIONS}::test_what_comes_behind_an_answer_is_not_taken_for_the_next",),
    ),
    Guard(
        "a request without an answer counts as sent from its first byte on",
        "P2",
        "an order that a connection broke under counts as never sent, and is placed again",
        (Removal("exchange/binance/transport.py", "        self.sent = True\n", ""),),
        (f"{CONNECTIONS}::test_what_a_kept_connection_breaks_under_is_not_sent_again[reset]",),
        raises=("ExchangeUnavailable",),  # instead of OutcomeUnknown
    ),
    Guard(
        "one deadline for a whole answer",
        "P4",
        "an answer that drips in byte by byte holds its thread for as long as it likes",
        (
            Removal(
                "exchange/binance/answer_reader.py",
                "self._sock.settimeout(time_left(self._deadline))",
                "self._sock.settimeout(5)",
            ),
        ),
        (f"{WIRE}::test_one_deadline_covers_head_and_body",),
    ),
    Guard(
        "no proxy diverts an order",
        "P2, P7",
        "a variable of the environment sends orders through another machine",
        (
            Removal(
                "exchange/binance/connections.py",
                "socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)",
                "socket.getaddrinfo(*os.environ['http_proxy'].removeprefix('http://').split(':'), type=socket.SOCK_STREAM)",
            ),
        ),
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
