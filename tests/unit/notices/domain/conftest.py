"""What the tests of the pure core leave out of their neighbours' fixtures."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _impatient() -> None:
    """Change no settings: the core reads none, and these tests start without Django."""
