"""What the tests of strategies leave out of their neighbours' fixtures."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _impatient() -> None:
    """Change no settings: strategies read none, and these tests start without Django."""
