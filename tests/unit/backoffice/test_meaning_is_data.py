"""No control flow reads prose: what something means is a kind, a code's meaning or a state, never a sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_servers.manager import CHECKOUT

ROOMS = (
    "accounts",
    "backoffice",
    "demo",
    "exchange",
    "infrastructure",
    "notices",
    "orders",
    "replay",
    "signals",
    "worker",
)
# Columns and attributes that hold a sentence: they are shown, and their presence may be asked, nothing more.
SENTENCES = {"question", "reason", "refused_text", "words", "message", "text", "sentence", "note", "summary"}
READERS = {
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "find",
    "index",
    "partition",
    "rpartition",
}
# Texts that others wrote and give no other sign of: (file, function).
FOREIGN = {
    # Binance's 503 has no code: its text alone says whether the request was passed on.
    ("exchange/binance/errors.py", "_says_unavailable"),
    # Lines of 0.1 are hashed and keep our words around the exchange's.
    ("orders/journal/replay.py", "exchange_words"),
}


def functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else inside
        yield name, node
        yield from functions(node, name)


def is_prose(node: ast.AST) -> bool:
    """Is this a sentence, or something that holds one?"""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.strip().count(" ") >= 1 and any(c.islower() for c in node.value)
    if isinstance(node, ast.Attribute):
        return node.attr in SENTENCES
    return isinstance(node, ast.JoinedStr) and any(is_prose(part) for part in node.values)


def reads_prose(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        return any(is_prose(side) for side in (node.left, *node.comparators)) and not all(
            isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
        return is_prose(node.func.value) or any(is_prose(argument) for argument in node.args)
    if isinstance(node, ast.MatchValue):
        return is_prose(node.value)
    return False


def readers(source: str) -> list[tuple[str, int]]:
    return [(name, node.lineno) for name, node in functions(ast.parse(source)) if reads_prose(node)]  # type: ignore[attr-defined]


def product() -> list[Path]:
    found = [path for room in ROOMS for path in sorted((CHECKOUT / room).rglob("*.py"))]
    return [path for path in found if "migrations" not in path.parts]


@pytest.mark.parametrize("path", product(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_control_flow_compares_sentences(path: Path) -> None:
    name = str(path.relative_to(CHECKOUT))

    found = [(where, line) for where, line in readers(path.read_text()) if (name, where) not in FOREIGN]

    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'if trio.question.startswith("A rest of"): pass',
        'if trio.question == "A rest of 1": pass',
        'if "taken by another" in str(error): pass',
        'x = message.removeprefix("The exchange refused: ")',
        "if outcome.message != other: pass",
        'match word:\n    case "not now": pass',
    ],
)
def test_the_test_sees_prose_that_is_compared(source: str) -> None:
    assert len(readers(source)) == 1


@pytest.mark.parametrize(
    "source", ["if trio.question: pass", 'if state == "OPEN": pass', 'x = "a sentence" + y']
)
def test_the_test_lets_data_be(source: str) -> None:
    assert readers(source) == []
