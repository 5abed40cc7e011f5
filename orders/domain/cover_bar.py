"""The picture of how a position was covered over time: segments on a line of a thousand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orders.domain.coverage import Cover, Span

LINE: Final = 1000
SAID_MAX: Final = 12  # changes that are told to those who do not see the line
NAMED_MAX: Final = 20  # gaps that are listed
WORDS: Final = {Cover.COVERED: "covered", Cover.UNCOVERED: "uncovered", Cover.FLAT: "no position"}
SEEN_MIN: Final = 8  # of the line, or nearly: a gap of milliseconds in days is to be seen


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the line: where it begins, how long it is there, and what it stands for."""

    span: Span
    x: int
    width: int

    @property
    def cover(self) -> str:
        return self.span.cover.value


@dataclass(frozen=True, slots=True)
class CoverBar:
    """The line, and the figures beside it. ``more``: gaps that are not named."""

    segments: tuple[Segment, ...]
    gaps: tuple[Span, ...]
    uncovered: int  # milliseconds
    covered: int
    more: int = 0

    @property
    def sentence(self) -> str:
        """Say what the line shows, for those who do not see it."""
        first = self.segments[0].span.since
        said = [f"{WORDS[part.span.cover]} from {part.span.since - first} ms" for part in self.segments]
        more = f", {len(said) - SAID_MAX} changes more" if len(said) > SAID_MAX else ""
        return f"Counted from the first execution: {', '.join(said[:SAID_MAX])}{more}."

    @property
    def gaps_count(self) -> int:
        return len(self.gaps) + self.more


def cover_bar(spans: Sequence[Span]) -> CoverBar | None:
    """Draw a line of these spans, which follow each other; ``None`` where there is nothing to draw.

    Each is as long as it lasted; a gap in the cover is never so short that nobody would see it.
    """
    whole = sum(span.lasted for span in spans)
    if whole <= 0:
        return None
    least = whole * SEEN_MIN // LINE + 1
    weights = [max(span.lasted, least) if span.cover is Cover.UNCOVERED else span.lasted for span in spans]
    total, reached = sum(weights), 0
    segments, x = [], 0
    for span, weight in zip(spans, weights, strict=True):
        reached += weight
        end = reached * LINE // total
        segments.append(Segment(span, x, end - x))
        x = end
    gaps = tuple(span for span in spans if span.cover is Cover.UNCOVERED)
    return CoverBar(
        segments=tuple(segments),
        gaps=gaps[:NAMED_MAX],
        uncovered=sum(span.lasted for span in gaps),
        covered=sum(span.lasted for span in spans if span.cover is Cover.COVERED),
        more=max(0, len(gaps) - NAMED_MAX),
    )
