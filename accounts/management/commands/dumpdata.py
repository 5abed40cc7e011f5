"""Django's own ``dumpdata``, which fails on models that have no table."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    def handle(self, *app_labels: str, **options: Any) -> None:
        # django-rq declares a model for its admin page only; dumping it fails for want of a table.
        tableless = [model._meta.label for model in apps.get_models() if not model._meta.managed]
        super().handle(*app_labels, **(options | {"exclude": [*options["exclude"], *tableless]}))
