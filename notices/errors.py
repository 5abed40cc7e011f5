"""What can be wrong with what a person asks for, each with a sentence."""

from __future__ import annotations


class NoticesError(Exception):
    """``sentence``: what is wrong and what to do. ``field``: the form field it belongs to."""

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
