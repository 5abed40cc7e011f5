"""Signals: what strategies, webhooks and files want, and what became of it on each account."""

from __future__ import annotations

from django.apps import AppConfig


class SignalsConfig(AppConfig):
    name = "signals"
    verbose_name = "Signals"
