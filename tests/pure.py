"""The tests that need no Django: without database, queue and settings they start at once.

``make test-fast`` runs FAST. ``tests/conftest.py`` sets nothing up when only tests of these two lists are asked
for. ``tests/unit/backoffice/test_pure.py`` holds both: what is here loads no Django, and what loads none is here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent

FAST: Final = (
    "tests/unit/bench/test_counting.py",
    "tests/unit/bench/test_reporting.py",
    "tests/unit/exchange/mapping",
    "tests/unit/exchange/test_answer_reader.py",
    "tests/unit/exchange/test_clock_offset.py",
    "tests/unit/exchange/test_errors_table.py",
    "tests/unit/exchange/test_income.py",
    "tests/unit/exchange/test_limits.py",
    "tests/unit/exchange/test_order_params.py",
    "tests/unit/exchange/test_redaction.py",
    "tests/unit/exchange/test_reserved_ids.py",
    "tests/unit/notices/domain",
    "tests/unit/orders/domain",
    "tests/unit/replay/test_report.py",
    "tests/unit/signals/domain",
    "tests/unit/signals/strategies/test_examples.py",
    "tests/unit/signals/strategies/test_schema.py",
    "tests/unit/simulator/test_algo_life.py",
    "tests/unit/simulator/test_faults.py",
    "tests/unit/simulator/test_ledger.py",
    "tests/unit/simulator/test_limits.py",
    "tests/unit/simulator/test_matching.py",
    "tests/unit/simulator/test_orders.py",
    "tests/unit/simulator/test_prices.py",
    "tests/unit/simulator/test_purity.py",
    "tests/unit/simulator/test_rooms.py",
    "tests/unit/simulator/test_store.py",
    "tests/unit/simulator/test_verdict.py",
    "tests/unit/simulator/test_wire.py",
)
# They load no Django either, but read the whole checkout, open sockets, start processes or take their time.
SLOWER: Final = (
    "tests/contract",
    "tests/guards",
    "tests/lint/test_dead_code.py",
    "tests/soak",
    "tests/unit/backoffice/test_codes_have_one_place.py",
    "tests/unit/backoffice/test_logs.py",
    "tests/unit/backoffice/test_meaning_is_data.py",
    "tests/unit/backoffice/test_pure.py",
    "tests/unit/backoffice/test_rooms.py",
    "tests/unit/backoffice/test_settings.py",
    "tests/unit/backoffice/test_tree.py",
    "tests/unit/bench/test_picture.py",
    "tests/unit/docs/test_architecture.py",
    "tests/unit/docs/test_citations.py",
    "tests/unit/docs/test_exchange_codes.py",
    "tests/unit/docs/test_licences.py",
    "tests/unit/docs/test_links.py",
    "tests/unit/docs/test_releases.py",
    "tests/unit/exchange/test_against_simulator.py",
    "tests/unit/exchange/test_client_reads.py",
    "tests/unit/exchange/test_connections.py",
    "tests/unit/exchange/test_imports.py",
    "tests/unit/exchange/test_streams.py",
    "tests/unit/exchange/test_tls.py",
    "tests/unit/exchange/test_wire_guardrails.py",
    "tests/unit/local_servers/test_django_backend.py",
    "tests/unit/local_servers/test_manager.py",
    "tests/unit/local_servers/test_pidfiles.py",
    "tests/unit/local_servers/test_write_env.py",
    "tests/unit/signals/strategies/test_process.py",
    "tests/unit/simulator/test_determinism.py",
    "tests/unit/simulator/test_process.py",
    "tests/walk",
)


def is_pure(path: Path) -> bool:
    """Is this file or folder, given as a full path, on one of the lists?"""
    return any(path.is_relative_to(CHECKOUT / listed) for listed in (*FAST, *SLOWER))


def are_all_pure(arguments: Iterable[str]) -> bool:
    """Are only such tests asked for, in pytest's words (``path::test[case]``)? Asking for nothing asks for all."""
    paths = [Path(argument.partition("::")[0]).resolve() for argument in arguments]
    return bool(paths) and all(is_pure(path) for path in paths)


if __name__ == "__main__":
    sys.stdout.write(" ".join(FAST) + "\n")
