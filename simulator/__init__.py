"""A local Binance USDⓈ-M Futures exchange: same protocol, same strictness, no money, no network."""

from simulator.facade import AccountExists, Holding, Simulator, SteppedClock
from simulator.faults import FaultError
from simulator.venue import Reply

__all__ = ["AccountExists", "FaultError", "Holding", "Reply", "Simulator", "SteppedClock"]
