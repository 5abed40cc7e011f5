"""Move the stop-loss of an open trio."""

from __future__ import annotations

from orders.cli.commands import MoveCommand
from orders.domain.enums import Role


class Command(MoveCommand):
    role = Role.STOP_LOSS
    help = (
        "Move the stop-loss of an open trio to another price. The old order stays until the exchange has acknowledged"
        " the new one; if it refuses that, the old one stays and the reason is said with the nearest valid price."
        " Example: manage.py move_stop 12 59500 --wait 10"
    )
