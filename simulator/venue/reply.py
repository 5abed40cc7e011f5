"""What becomes of a request: the reply, what happens to it on its way back, and what the log says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.engine.errors import ApiError
from simulator.protocol.context import EncodedBody
from simulator.protocol.limits import ORDERS_1M, ORDERS_10S

JSON_TYPE: Final = "application/json;charset=UTF-8"
HTML_TYPE: Final = "text/html"


@dataclass(slots=True)
class Reply:
    """An HTTP response, and what happens to it on its way: lost, late, or neither."""

    status: int
    headers: dict[str, str]
    body: bytes
    lost: str = ""  # "answer": executed, then the connection is cut; "before": it never arrived
    delay_ms: int = 0
    delayed_id: int = 0  # under which the reply of a delayed execution can be fetched

    @classmethod
    def of(cls, status: int, answer: Any, headers: dict[str, str]) -> Reply:
        """Encode an answer."""
        if isinstance(answer, EncodedBody):
            body = answer.body
        else:
            body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
        return cls(status, {"Content-Type": JSON_TYPE, **headers}, body)

    @classmethod
    def of_lost(cls, lost: str, delayed_id: int = 0) -> Reply:
        return cls(0, {}, b"", lost, delayed_id=delayed_id)


@dataclass(slots=True)
class Outcome:
    """What became of a request. Without a failure the client got what it asked for, and knows it."""

    reply: Reply
    effect: str  # executed, read, refused, lost_answer, lost_before, late, answered
    code: int = 0  # of the refusal
    failure: str = ""  # why the client did not get what it asked for, or does not know
    failure_code: int = 0  # the code or HTTP status of that, if it has one
    placed_algos: list[str] = field(default_factory=list)  # client ids

    @classmethod
    def of_refusal(cls, error: ApiError, headers: dict[str, str]) -> Outcome:
        # As on the real exchange, nobody may rely on a refused order to say how many orders are used.
        told = {name: value for name, value in headers.items() if name not in (ORDERS_10S, ORDERS_1M)}
        reply = Reply.of(error.status, {"code": error.code, "msg": error.msg}, told | error.headers)
        return cls(reply, "refused", error.code, str(error.code), error.code)
