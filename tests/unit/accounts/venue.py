"""A tiny exchange for these stories, mounted under the real client: keys, signatures, settings, symbols.

It knows just what the accounts' room asks for, and checks keys, signatures and time as Binance does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter

SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生USDT")


def alias_of(key: str) -> str:
    """The exchange's name for the account of a key; tells nothing of the key."""
    return hashlib.sha1(key.encode()).hexdigest()[:8]


@dataclass
class Customer:
    """One account of the exchange, with its keys and what is set on it."""

    secret: str
    alias: str
    hedge: bool = False
    withdrawals: bool = False
    multi_assets: bool = False
    can_trade: bool = True
    balance: str = "10000"
    settings: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {s: {"leverage": 20, "marginType": "CROSSED"} for s in SYMBOLS}
    )
    positions: dict[str, str] = field(default_factory=dict)
    resting: list[str] = field(default_factory=list)


class Venue(BaseAdapter):
    """The exchange's answers. ``clock_ahead`` in ms; ``silent`` = nothing listens; ``stranger`` = no exchange; ``simulates`` = ours."""

    def __init__(self) -> None:
        super().__init__()
        self.customers: dict[str, Customer] = {}
        self.requests: list[tuple[str, str]] = []
        self.clock_ahead = 0
        self.silent = False
        self.stranger = False
        self.simulates = False
        self.audits = True
        self.deaf_to_settings = False
        self.exchange_info: dict[str, Any] = {"symbols": []}

    def customer(self, key: str, secret: str, **wishes: Any) -> Customer:
        known = Customer(secret=secret, alias=wishes.pop("alias", alias_of(key)), **wishes)
        self.customers[key] = known
        return known

    def close(self) -> None:
        pass

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if self.silent:
            raise requests.ConnectionError("nothing listens there")
        parts = urlsplit(str(request.url))
        self.requests.append((str(request.method), parts.path))
        status, body = self.answer(str(request.method), parts.path, parts.query, request)
        response = requests.Response()
        response.status_code = status
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(body).encode()
        response.url = str(request.url)
        response.request = request
        return response

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_ahead

    def answer(
        self, method: str, path: str, query: str, request: requests.PreparedRequest
    ) -> tuple[int, Any]:
        if self.stranger:
            return 200, ["a page of somebody else"]
        if path == "/fapi/v1/time":
            return 200, {"serverTime": self.now()}
        if path == "/fapi/v1/exchangeInfo":
            return 200, self.exchange_info
        if path == "/sim/accounts":
            return self.provision(json.loads(request.body or b"{}"))
        customer = self.customers.get(request.headers.get("X-MBX-APIKEY", ""))
        if customer is None:
            return 401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
        payload, _, signature = query.rpartition("&signature=")
        expected = hmac.new(customer.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if signature != expected:
            return 400, {"code": -1022, "msg": "Signature for this request is not valid."}
        params = dict(parse_qsl(payload))
        if not -int(params["recvWindow"]) <= int(params["timestamp"]) - self.now() < 1000:
            return 400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
        return self.private(method, path, params, customer)

    def provision(self, wish: dict[str, Any]) -> tuple[int, Any]:
        if not self.simulates:
            return 404, {"error": "no such page"}
        key, secret = wish["api_key"], wish["api_secret"]
        known = self.customers.get(key)
        if known and known.secret != secret:
            return 409, {"error": "known with another secret"}
        if known is None:
            hedge = wish.get("position_mode") == "HEDGE"
            self.customer(key, secret, hedge=hedge, balance=wish.get("balance", "10000"))
        return 200, {}

    def private(self, method: str, path: str, params: dict[str, str], c: Customer) -> tuple[int, Any]:
        if path == "/fapi/v1/accountConfig":
            flags = {
                "canTrade": c.can_trade,
                "dualSidePosition": c.hedge,
                "multiAssetsMargin": c.multi_assets,
            }
            return 200, flags
        if path == "/fapi/v3/balance":
            row = {
                "accountAlias": c.alias,
                "asset": "USDT",
                "balance": c.balance,
                "availableBalance": c.balance,
            }
            return 200, [row]
        if path == "/sapi/v1/account/apiRestrictions":
            if not self.audits:
                return 404, {}
            return 200, {
                "ipRestrict": True,
                "enableReading": True,
                "enableFutures": True,
                "enableWithdrawals": c.withdrawals,
            }
        if path == "/fapi/v1/symbolConfig":
            wanted = [params["symbol"]] if "symbol" in params else list(c.settings)
            return 200, [{"symbol": s, **c.settings[s]} for s in wanted if s in c.settings]
        if path == "/fapi/v3/positionRisk":
            return 200, [
                {
                    "symbol": s,
                    "positionSide": "BOTH",
                    "positionAmt": q,
                    "entryPrice": "60000",
                    "markPrice": "60000",
                    "liquidationPrice": "0",
                    "unRealizedProfit": "0",
                    "updateTime": 1,
                }
                for s, q in c.positions.items()
            ]
        if path == "/fapi/v1/openAlgoOrders":
            return 200, []
        if path == "/fapi/v1/openOrders":
            return 200, [_resting(s) for s in c.resting]
        if (method, path) == ("POST", "/fapi/v1/leverage"):
            if not self.deaf_to_settings:
                c.settings[params["symbol"]]["leverage"] = int(params["leverage"])
            return 200, {"symbol": params["symbol"], "leverage": int(params["leverage"])}
        if (method, path) == ("POST", "/fapi/v1/marginType"):
            c.settings[params["symbol"]]["marginType"] = params["marginType"]
            return 200, {"code": 200, "msg": "success"}
        return 404, {"code": -5000, "msg": f"Path {path} does not exist."}


def _resting(symbol: str) -> dict[str, Any]:
    return {
        "orderId": 1,
        "clientOrderId": "somebody",
        "symbol": symbol,
        "side": "BUY",
        "type": "LIMIT",
        "status": "NEW",
        "positionSide": "BOTH",
        "price": "50000",
        "origQty": "0.01",
        "executedQty": "0",
        "avgPrice": "0",
        "stopPrice": "0",
        "timeInForce": "GTC",
        "reduceOnly": False,
        "closePosition": False,
        "time": 1,
        "updateTime": 1,
    }
