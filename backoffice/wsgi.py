"""The web application, for gunicorn."""

from __future__ import annotations

import os
import sys
import threading

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

from infrastructure.patience import limit_waits


def make_application() -> WSGIHandler:
    """Return the application. Raises ImproperlyConfigured with a sentence."""
    if not settings.DEBUG and not (settings.STATIC_ROOT / "staticfiles.json").exists():
        raise ImproperlyConfigured(
            "Static files are not collected: run `manage.py collectstatic --noinput` once for each release."
        )
    limit_waits()
    application = get_wsgi_application()
    from accounts.gateways import prepare  # it reads models: only now

    # The exchange's library takes a second or more to import: no operator's first click shall wait for it.
    threading.Thread(target=prepare, name="prepare", daemon=True).start()
    return application


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")
try:
    application = make_application()
except ImproperlyConfigured as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(4)  # gunicorn's word for "cannot be loaded": it stops instead of trying for ever
