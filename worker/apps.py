"""The worker: keeps our books in step with the exchange. It has no tables of its own."""

from __future__ import annotations

from django.apps import AppConfig


class WorkerConfig(AppConfig):
    name = "worker"
    verbose_name = "Worker"
