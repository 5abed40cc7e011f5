"""The reference lists exactly the words, transitions, rules, guarantees and tables that the code has."""

from __future__ import annotations

import ast
import enum
import re
from dataclasses import dataclass

import pytest
from django.apps import apps

from exchange.binance.errors import refusal_of
from exchange.refusals import Refusal
from orders.domain.decision.lifecycle import TRANSITIONS, WITHDRAWN_AS, Transition
from orders.domain.enums import Cause, LegState, Protection, Role, Source, TrioState, Verdict
from tests.unit.docs.pages import CHECKOUT, rows, text

STATES = "docs/reference/states.md"
RULES = "docs/reference/validation-rules.md"
GUARANTEES = "docs/reference/wire-guarantees.md"
SOUND = "Is the trio sound?"


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """One rule as validation.py says it is broken; what is filled in stands as an ellipsis."""

    field: str  # "": one of several, by what is checked
    sentence: str
    refusal: Refusal | None

    def is_in(self, quoted: list[str], fields: set[str]) -> bool:
        """Is this rule meant by one of the quoted beginnings, in a row with these fields?"""
        of_field = not self.field or self.field in fields
        return of_field and any(
            all(piece.strip() in self.sentence for piece in part.split("…")) for part in quoted
        )


def broken_rules() -> list[BrokenRule]:
    tree = ast.parse((CHECKOUT / "orders" / "domain" / "validation.py").read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RuleBroken":
            field, sentence, *refusal = node.args
            name = field.value if isinstance(field, ast.Constant) else ""
            meant = [Refusal[part.attr] for part in refusal if isinstance(part, ast.Attribute)]
            found.append(BrokenRule(str(name), _said(sentence), meant[0] if meant else None))
    return found


def _said(sentence: ast.expr) -> str:
    parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Trio states", TrioState),
        ("Leg states", LegState),
        ("Causes", Cause),
        ("Verdicts", Verdict),
        ("Sources", Source),
    ],
)
def test_every_word_is_listed_once_and_no_other(heading: str, words: type[enum.StrEnum]) -> None:
    listed = [row[0] for row in rows(STATES, heading)]

    assert sorted(listed) == sorted(word.value for word in words)


def test_the_ends_are_marked() -> None:
    marked = {row[0] for row in rows(STATES, "Trio states") if row[-1] == "yes"}

    assert marked == {state.value for state in TrioState if state.is_end}


def test_every_transition_of_the_table_is_listed() -> None:
    told = [
        (set(re.findall(r"[A-Z_]{4,}", before)), set(re.findall(r"[A-Z_]{4,}", after)))
        for before, _, after in rows(STATES, "Transitions")
    ]

    unlisted = [
        (before.value, transition.value, after.value)
        for (before, transition), after in TRANSITIONS.items()
        if not any(before.value in a and after.value in b for a, b in told)
    ]

    assert unlisted == []
    assert len(Transition) > 10


def test_no_transition_is_listed_that_the_table_has_not() -> None:
    possible = {(before.value, after.value) for (before, _), after in TRANSITIONS.items()}
    possible |= {(TrioState.WITHDRAWING.value, end.value) for end in WITHDRAWN_AS.values()}
    states = {state.value for state in TrioState}

    invented = []
    for before, _, after in rows(STATES, "Transitions"):
        ends = [word for word in re.findall(r"[A-Z_]{4,}", after) if word in states and word != "LATE"]
        ends += ["LATE"] if after.startswith("LATE") else []
        for start in before.split(", "):
            invented += [(start, end) for end in ends if start != end and (start, end) not in possible]

    assert invented == []


def test_a_withdrawn_trio_ends_as_the_causes_say() -> None:
    leads = {row[0]: row[-1] for row in rows(STATES, "Causes")}

    assert [c.value for c, end in WITHDRAWN_AS.items() if end.value not in leads[c.value]] == []


def test_every_rule_of_the_exchange_is_listed_with_its_code_and_field() -> None:
    # Given the rules as the code has them, and the rows of the page
    broken = broken_rules()
    listed = [(row[1].split(" · "), set(row[2].split(", ")), row[3]) for row in rows(RULES, SOUND) if row[1]]
    assert len(broken) > 20

    # Then each rule is in a row that names its field
    unlisted = [rule.sentence for rule in broken if not any(rule.is_in(q, f) for q, f, _ in listed)]
    assert unlisted == ["… is not trading now (status …). Choose another symbol."]  # of the table above

    # And a row's codes mean what its rules say that the exchange would answer
    for quoted, fields, codes in listed:
        meant = {refusal_of(int(code)) for code in re.findall(r"-\d{4}", codes)}
        assert {rule.refusal for rule in broken if rule.is_in(quoted, fields)} - {None} == meant, quoted


def test_every_sentence_that_the_rules_page_quotes_is_said() -> None:
    broken = broken_rules()
    quoted = [(part, set(row[2].split(", "))) for row in rows(RULES, SOUND) for part in row[1].split(" · ")]
    assert len(quoted) > 12

    assert [part for part, fields in quoted if not any(rule.is_in([part], fields) for rule in broken)] == []


def test_every_guarantee_on_the_wire_names_a_test_that_exists() -> None:
    folder = CHECKOUT / "tests" / "unit" / "exchange"
    known = {
        word for file in folder.rglob("test_*.py") for word in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", text(GUARANTEES)))

    assert len(named) > 20
    assert named - known == set()


def test_the_four_errors_are_listed() -> None:
    listed = {row[0].strip("`") for row in rows(GUARANTEES, "What an answer means")}

    assert listed == {"OrderRejected", "OutcomeUnknown", "ExchangeUnavailable", "CredentialsRefused"}


@pytest.mark.parametrize("app", ["accounts", "notices", "orders", "signals"])
def test_every_table_is_in_the_data_model(app: str) -> None:
    listed = {row[0].strip("`") for row in rows("docs/reference/data-model.md", app)}
    models = {model.__name__ for model in apps.get_app_config(app).get_models()}

    assert listed == {model for model in models if not model.startswith("Historical")}


def test_the_glossary_has_the_words_of_the_project() -> None:
    terms = {
        term.strip() for row in rows("docs/reference/glossary.md", "Glossary") for term in row[0].split(",")
    }

    wanted = {"trio order", "leg", "role", "side", "position side", "quantity", "price", "trigger price"}
    wanted |= {"mark price", "time in force", "reduce-only", "one-way mode", "hedge mode", "client order id"}
    wanted |= {"fill", "position", "slot", "cover", "patience", "watch", "sweep", "new risk"}
    wanted |= {"turn", "transition", "fact", "guard", "wire guarantee", "protective leg"}
    assert wanted - terms == set()


def test_roles_and_protections_are_named_where_scripts_meet_them() -> None:
    page = text("docs/reference/commands.md")

    assert [word.value for word in (*Role, *Protection) if word.value not in page] == []
