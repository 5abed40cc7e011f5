"""Nothing secret reaches a log line, whether by name, inside a text or in a traceback."""

from __future__ import annotations

import json

import pytest

from tests.unit.backoffice.test_settings import GOOD, PRODUCTION
from tests.unit.processes import bare_environment, run

SAY = """
import logging, sys
import django
django.setup()
import structlog
structlog.get_logger("orders").info("placed", api_secret="SESAME", trio=3, nested={"signature": "SESAME", "side": "BUY"})
log = logging.getLogger("exchange")
log.warning("refused: GET /x?symbol=A&signature=SESAME&timestamp=1 X-MBX-APIKEY: SESAME")
log.warning("with %s", "listenKey=SESAME")
try:
    raise ValueError("https://x/y?apiKey=SESAME&a=1")
except ValueError:
    log.exception("broken")
logging.getLogger("urllib3.connectionpool").info("SESAME in a URL")
"""


@pytest.mark.parametrize("given", [GOOD, PRODUCTION], ids=["readable", "json"])
def test_no_secret_reaches_the_log(given: dict[str, str]) -> None:
    environment = bare_environment(**given, DJANGO_SETTINGS_MODULE="backoffice.settings")

    done = run("-c", SAY, environment=environment)

    assert done.returncode == 0, done.stderr
    assert "SESAME" not in done.stderr
    assert done.stderr.count("[hidden]") >= 6
    assert "BUY" in done.stderr
    assert "ValueError" in done.stderr
    assert done.stdout == "", "standard output belongs to the commands' answers"


def test_production_logs_are_json() -> None:
    environment = bare_environment(**PRODUCTION, DJANGO_SETTINGS_MODULE="backoffice.settings")

    done = run("-c", SAY, environment=environment)

    first = json.loads(done.stderr.splitlines()[0])
    assert (first["event"], first["trio"], first["level"]) == ("placed", 3, "info")
