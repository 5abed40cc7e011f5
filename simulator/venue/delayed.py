"""Requests that a fault holds back until they are due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from simulator.venue.reply import Reply
from simulator.venue.request import Request

REPLIES_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class DelayedRequest:
    """A request held back, and when it is to execute."""

    due: int
    ident: int
    request: Request


@dataclass(slots=True)
class DelayedRequests:
    """Those still held back, and the replies to those executed since, until somebody fetches them."""

    held: list[DelayedRequest] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)

    def hold(self, delayed: DelayedRequest) -> None:
        self.held.append(delayed)
        self.held.sort(key=lambda each: (each.due, each.ident))

    def take_due(self, now: int) -> Iterator[DelayedRequest]:
        while self.held and self.held[0].due <= now:
            yield self.held.pop(0)

    def keep_reply(self, ident: int, reply: Reply) -> None:
        self.replies[ident] = reply
        while len(self.replies) > REPLIES_MAX:
            del self.replies[next(iter(self.replies))]
