"""Malformed requests of every kind: ``python -m tests.contract.fuzz [COUNT] [SEED]``.

Every answer must be a 2xx or a 4xx with Binance's shape; a 5xx, an exception or a hang is a defect.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import sys
import time
from collections import Counter
from urllib.parse import quote, quote_plus

from simulator import Simulator, SteppedClock
from simulator.protocol.routes import ROUTES
from tests.unit.simulator.support import KEY, SECRET, START_MS

NAMES = (
    "symbol", "side", "type", "timeInForce", "quantity", "price", "newClientOrderId", "origClientOrderId", "orderId",
    "stopPrice", "triggerPrice", "closePosition", "reduceOnly", "positionSide", "workingType", "priceProtect",
    "algoType", "algoId", "clientAlgoId", "callbackRate", "activatePrice", "priceMatch", "goodTillDate", "limit",
    "startTime", "endTime", "fromId", "interval", "leverage", "marginType", "dualSidePosition", "amount", "batchOrders",
    "orderIdList", "origClientOrderIdList", "newOrderRespType", "selfTradePreventionMode", "recvWindow", "timestamp",
    "incomeType", "countdownTime", "multiAssetsMargin", "pair", "modifyId", "autoCloseType", "signature", "surprise",
)  # fmt: skip
GOOD = {
    "symbol": ("BTCUSDT", "ETHUSDT", "测试测试USDT", "1000SATSUSDT"), "side": ("BUY", "SELL"),
    "type": ("LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT", "TRAILING_STOP_MARKET", "STOP"),
    "timeInForce": ("GTC", "IOC", "FOK", "GTX", "GTD"), "quantity": ("0.01", "1", "0.5"),
    "price": ("62000", "2400", "0.01"), "triggerPrice": ("60000", "65000"), "algoType": ("CONDITIONAL",),
    "positionSide": ("BOTH", "LONG", "SHORT"), "interval": ("1m", "1d"), "leverage": ("5",), "pair": ("BTCUSDT",),
    "dualSidePosition": ("true", "false"), "reduceOnly": ("true", "false"), "closePosition": ("true", "false"),
    "marginType": ("ISOLATED", "CROSSED"), "callbackRate": ("1",), "limit": ("5", "100"), "priceMatch": ("QUEUE",),
    "workingType": ("MARK_PRICE",), "countdownTime": ("1000",), "goodTillDate": (str(START_MS + 900_000),),
}  # fmt: skip
BAD = (
    "", " ", "0", "-1", "1e5", "1E-8", "NaN", "Infinity", "-Infinity", "null", "None", "true", "TRUE", "True", "[]", "{}",
    "0x10", "1,000", "1.2.3", ".", "1.", ".5", "9" * 19, "9" * 20, "9" * 400, "0." + "0" * 30 + "1", "00001", "+5",
    "\u0661\u0662", "\u00bd", "\u2168", "x" * 37, "a b", "<script>", "'; DROP TABLE", "\x00", "\n", "é", "币安", "😀",
    "[1", "[[[[", "[" * 3000, '[{"symbol":1}]', "[null]", "[{}]", '[{"symbol":"BTCUSDT","side":["BUY"]}]', '["a","b"]',
    "99999999999999999999999999999999999999", "18446744073709551616", "-0", "1/2", "%", "%zz", "&", "=", "BUY\u200b",
)  # fmt: skip
PATHS = [
    *ROUTES,
    ("GET", "/fapi/v1/nothing"),
    ("PATCH", "/fapi/v1/order"),
    ("GET", "/"),
    ("POST", "/fapi/v1/%6frder"),
]


ORDERS = [
    ("POST", "/fapi/v1/order"),
    ("POST", "/fapi/v1/algoOrder"),
    ("POST", "/fapi/v1/order/test"),
    ("PUT", "/fapi/v1/order"),
]
_LIMIT = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "62000"}
_MARKET = {"symbol": "BTCUSDT", "type": "MARKET", "quantity": "0.01"}
_STOP = {
    "symbol": "BTCUSDT",
    "algoType": "CONDITIONAL",
    "type": "STOP_MARKET",
    "triggerPrice": "61000",
    "quantity": "0.01",
}
ALMOST = {
    "/fapi/v1/order": [_LIMIT, _MARKET, {**_LIMIT, "priceMatch": "QUEUE"}, {**_LIMIT, "origClientOrderId": "a"}],
    "/fapi/v1/order/test": [_LIMIT, _MARKET],
    "/fapi/v1/algoOrder": [
        _STOP, {**_STOP, "type": "TAKE_PROFIT_MARKET"}, {**_STOP, "type": "STOP", "price": "61000"},
        {**_STOP, "type": "TRAILING_STOP_MARKET", "callbackRate": "1"}, {**_STOP, "closePosition": "true"},
    ],
}  # fmt: skip


class Fuzzer:
    """Sends one request after another and judges the answers."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = SteppedClock(START_MS)
        self.simulator = Simulator(clock=self.clock, seed=seed, prices="walk", enforce_rates=False)
        self.simulator.add_account("desk", KEY, SECRET, "100000")
        self.statuses: Counter[int] = Counter()
        self.codes: Counter[int] = Counter()
        self.slowest = 0.0

    def value(self, name: str) -> str:
        if name in GOOD and self.rng.random() < 0.75:
            return self.rng.choice(GOOD[name])
        if self.rng.random() < 0.2:
            return "".join(chr(self.rng.choice((self.rng.randrange(1, 127), self.rng.randrange(160, 0xD7FF))))
                           for _ in range(self.rng.randrange(1, 40)))  # fmt: skip
        return self.rng.choice(BAD)

    def pairs(self) -> list[str]:
        core = ["symbol", "side", "type", "quantity", "price", "timeInForce", "algoType", "triggerPrice"]
        names = [n for n in core if self.rng.random() < 0.8]
        names += self.rng.choices(NAMES, k=self.rng.randrange(0, 5))
        if self.rng.random() < 0.9:
            names = list(dict.fromkeys(names))
        encode = self.rng.choice(
            (quote, quote_plus, lambda text: text.replace("&", "%26").replace("#", "%23"))
        )
        found = [f"{name}={encode(self.value(name))}" for name in names]
        if self.rng.random() < 0.05:
            found.append(self.rng.choice(("", "=", "novalue", "&&", "a=%ff%fe", "%00=1", "=" * 50)))
        return found

    def nearly_right(self, path: str) -> list[str]:
        """An order with at most two mistakes, so that it gets past the first checks."""
        params = dict(self.rng.choice(ALMOST[path]))
        params["side"] = self.rng.choice(("BUY", "SELL"))
        if self.simulator.ex.books["desk"].account.dual and self.rng.random() < 0.9:
            params["positionSide"] = self.rng.choice(("LONG", "SHORT"))
        for _ in range(self.rng.randrange(3)):
            name = self.rng.choice((*params, *NAMES))
            if self.rng.random() < 0.3:
                params.pop(name, None)
            else:
                params[name] = self.value(name)
        return [f"{name}={quote(text)}" for name, text in params.items()]

    def one(self) -> None:
        rng = self.rng
        method, path = rng.choice(ORDERS if rng.random() < 0.5 else PATHS)
        pairs = self.nearly_right(path) if path in ALMOST and rng.random() < 0.8 else self.pairs()
        if rng.random() < 0.95:
            stamp = self.clock() if rng.random() < 0.95 else rng.choice((0, -1, 10**30, self.clock() + 10**6))
            pairs = [p for p in pairs if not p.startswith(("timestamp=", "signature="))] + [
                f"timestamp={stamp}"
            ]
        cut = rng.randrange(len(pairs) + 1) if rng.random() < 0.2 else len(pairs)
        query, body = "&".join(pairs[:cut]), "&".join(pairs[cut:])
        signature = hmac.new(
            SECRET.encode(), (query + body).encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()
        if body:
            body += f"&signature={signature}"
        else:
            query += f"&signature={signature}"
        raw = body.encode()
        if rng.random() < 0.01:
            raw += rng.choice((b"\xff\xfe", b"\x00" * 100, b"x" * (1 << 20)))
        key = KEY if rng.random() < 0.98 else rng.choice(("", "nobody", "é", "k" * 9000))
        begun = time.perf_counter()
        reply = self.simulator.handle(method, f"{path}?{query}", {"x-mbx-apikey": key}, raw)
        self.slowest = max(self.slowest, time.perf_counter() - begun)
        self.judge(reply.status, reply.body, f"{method} {path}?{query} {raw[:200]!r}")
        self.clock.forward(rng.randrange(3))

    def judge(self, status: int, body: bytes, request: str) -> None:
        self.statuses[status] += 1
        if status in (404, 405):
            return
        assert status < 500, f"{status} for {request}"
        answer = json.loads(body)
        if status != 200:
            assert set(answer) == {"code", "msg"}, f"{answer} for {request}"
            assert answer["code"] < 0, f"{answer} for {request}"
            assert "{" not in answer["msg"].replace("{1,", ""), f"{answer} for {request}"
            self.codes[answer["code"]] += 1

    def settings(self) -> None:
        """Bring the account back to a position mode in which most orders are possible."""
        book = self.simulator.ex.books["desk"]
        if book.account.dual and not (book.held or book.open_orders or book.open_algos):
            book.account.dual = self.rng.random() < 0.3


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    fuzzer = Fuzzer(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    begun = time.perf_counter()
    for number in range(count):
        fuzzer.one()
        if number % 500 == 0:
            fuzzer.settings()
    seconds = time.perf_counter() - begun
    print(f"{count} requests in {seconds:.1f} s, slowest {fuzzer.slowest * 1000:.0f} ms")
    print("statuses:", dict(sorted(fuzzer.statuses.items())))
    print("codes:", dict(fuzzer.codes.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
