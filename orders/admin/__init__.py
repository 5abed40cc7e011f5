"""What operators see: trios with their verbs, and everything else to look at."""

from orders.admin.readonly import SymbolAdmin
from orders.admin.trio import TrioOrderAdmin

__all__ = ["SymbolAdmin", "TrioOrderAdmin"]
