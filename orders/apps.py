"""Trio orders: what we trade."""

from __future__ import annotations

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from accounts.position_modes import register_use
        from orders.selectors import trios_sent

        register_use(trios_sent)
