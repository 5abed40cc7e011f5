"""``make pictures``: the pictures that the documentation shows, made by the browser tests that look at those pages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from matplotlib import image

ROOT: Final = Path(__file__).resolve().parents[2]
IMAGES: Final = ROOT / "docs" / "images"
HEIGHT_MAX: Final = 900
TESTS: Final = ("a_trio_is_moved", "bulk", "charts", "desk", "desk_pages", "ticket", "trio_list")
# By the name under docs/images, which picture of those tests it is.
SHOWN: Final = {
    "bulk": "80-bulk-under-way-1440-light",
    "dashboard": "60-desk-1440-light",
    "dashboard-phone": "60-desk-390-dark",
    "panic": "73-panic-done",
    "positions": "65-positions-1440-light",
    "proof": "66-proof-1440",
    "statistics": "62-statistics-1440-light",
    "ticket": "40-ticket-understood",
    "trio-list": "61-list-1440-light",
    "trio-moved": "101-dragged",
    "trio-open": "63-trio-1440-light",
}


def main() -> int:
    """Run the tests with their pictures kept, and put those that are shown in their place; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        tests = [f"tests/browser/test_{name}.py" for name in TESTS]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", *tests],
            cwd=ROOT, env={**os.environ, "BROWSER_SCREENSHOTS": folder}, check=False,
        )  # fmt: skip
        if done.returncode:
            return done.returncode
        for name, taken in SHOWN.items():
            whole = image.imread(Path(folder) / f"{taken}.png")
            image.imsave(
                IMAGES / f"{name}.png", whole[:HEIGHT_MAX, :, :3]
            )  # a page is no place for three thousand pixels
    print(f"{len(SHOWN)} pictures in {IMAGES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
