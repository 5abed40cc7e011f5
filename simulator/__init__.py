"""A local Binance USDⓈ-M Futures exchange: same protocol, same strictness, no money, no network."""

from simulator.clock import SteppedClock
from simulator.faults.language import FaultError
from simulator.simulator import AccountExists, PositionView, Simulator
from simulator.venue.reply import Reply

__all__ = ["AccountExists", "FaultError", "PositionView", "Reply", "Simulator", "SteppedClock"]
