"""The same simulated exchange and desk as the orders' stories."""

from tests.unit.orders.conftest import _impatient, any_desk, desk, hedge_desk, simulator, testnet

__all__ = ["_impatient", "any_desk", "desk", "hedge_desk", "simulator", "testnet"]
