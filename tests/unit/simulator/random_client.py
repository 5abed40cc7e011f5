"""A client that sends random orders, the same for the same seed, to an exchange full of faults."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from urllib.parse import urlencode

from simulator import Simulator, SteppedClock
from tests.unit.simulator.support import KEY, SECRET, START_MS

FAULTS = [
    {"match": {"method": "POST"}, "occurrence": {"share": "0.03"}, "then": {"do": "lose_answer"}},
    {"match": {"method": "POST"}, "occurrence": {"share": "0.03"}, "then": {"do": "refuse", "code": -1008}},
    {
        "match": {"method": "POST"},
        "occurrence": {"share": "0.02"},
        "then": {"do": "execute_late", "ms": 2500},
    },
    {"match": {"method": "POST"}, "occurrence": {"share": "0.02"}, "then": {"do": "answer", "status": 502}},
]
Send = Callable[[str, str], None]


def trade(send: Send, forward: Callable[[int], None], *, orders: int, seed: int) -> None:
    """One client that sends random orders one after another, the same for the same seed."""
    rng = random.Random(seed)
    now = START_MS
    for number in range(orders):
        side = rng.choice(("BUY", "SELL"))
        symbol, price = rng.choice((("BTCUSDT", 62_000), ("ETHUSDT", 2_400)))
        params: dict[str, object] = {
            "symbol": symbol,
            "side": side,
            "quantity": f"0.{rng.randrange(100, 400)}",
        }
        level = price * rng.randrange(970, 1031) // 1000
        path = "/fapi/v1/order"
        match rng.randrange(4):
            case 0:
                params |= {"type": "MARKET"}
            case 1 | 2:
                params |= {"type": "LIMIT", "timeInForce": "GTC", "price": level}
            case _:
                path = "/fapi/v1/algoOrder"
                params |= {"type": "STOP_MARKET", "algoType": "CONDITIONAL", "triggerPrice": level}
        params["clientAlgoId" if path.endswith("algoOrder") else "newClientOrderId"] = f"c{number}"
        query = urlencode({**params, "timestamp": now})
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        send("POST", f"{path}?{query}&signature={signature}")
        if number % 20 == 19:
            query = urlencode({"symbol": symbol, "timestamp": now})
            signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
            send("DELETE", f"/fapi/v1/allOpenOrders?{query}&signature={signature}")
            send("DELETE", f"/fapi/v1/algoOpenOrders?{query}&signature={signature}")
        step = rng.randrange(50, 400)
        forward(step)
        now += step


def run_in_process(orders: int, seed: int) -> str:
    clock = SteppedClock(START_MS)
    simulator = Simulator(clock=clock, seed=seed, prices="walk", hash_log=True)
    simulator.add_account("desk", KEY, SECRET, "100000")
    for fault in FAULTS:
        simulator.venue.faults.add(fault)

    def forward(ms: int) -> None:
        clock.forward(ms)
        simulator.tick()

    def send(method: str, target: str) -> None:
        simulator.handle(method, target, {"x-mbx-apikey": KEY})

    trade(send, forward, orders=orders, seed=seed)
    assert len(simulator.log) >= orders
    return str(simulator.verdict()["log_hash"])
