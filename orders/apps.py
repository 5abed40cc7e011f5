"""Trio orders: what we trade."""

from __future__ import annotations

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from accounts.archive import register_held
        from accounts.position_modes import register_use
        from orders.selectors import positions_on, trios_on, trios_sent

        register_use(trios_sent)
        register_held(trios_on)
        register_held(positions_on)
