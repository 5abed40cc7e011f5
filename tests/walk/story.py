"""How requests, answers and events are called in a story."""

from __future__ import annotations

from tests.walk.world import Answer, Call, Event


def name_of(call: Call) -> str:
    return f"{call.kind.lower()} {call.client_id}".strip()


def told_by(answer: Answer) -> str:
    return f"{answer.verdict.lower()}{f' ({answer.code})' if answer.code else ''}"


def telling(event: Event) -> str:
    if event.view is None:
        return f"told: the position is {event.position}"
    kind = "" if event.view.conditional else " (ordinary)"
    return f"told: {event.view.client_id}{kind} {event.view.state}, executed {event.view.executed}"
