"""What may go wrong on the way to the exchange and back, in the simulator's fault language."""

from __future__ import annotations

from typing import Any, Final

ENTRY: Final = {"method": "POST", "path": "/fapi/v1/order", "client_id": "-e[0-9]+$"}
EXIT: Final = {"method": "POST", "path": "/fapi/v1/order", "client_id": "-x[0-9]+$"}
STOP: Final = {"method": "POST", "client_id": "-s[0-9]+$"}
TARGET: Final = {"method": "POST", "client_id": "-p[0-9]+$"}
CANCEL: Final = {"method": "DELETE"}
LOOK: Final = {"method": "GET", "path": "/fapi/v1/*rder"}
SUBJECTS: Final = {
    "entry": ENTRY,
    "exit": EXIT,
    "stop": STOP,
    "target": TARGET,
    "cancel": CANCEL,
    "look-up": LOOK,
}
UNAVAILABLE: Final = {"code": 0, "msg": "Service Unavailable."}
TIMEOUT: Final = {"code": -1007, "msg": "Timeout waiting for response from backend server."}

# What may happen to any request.
TO_ANY: Final[dict[str, dict[str, Any]]] = {
    "answer lost": {"do": "lose_answer"},
    "never arrives": {"do": "lose_before"},
    "-1007, executed": {"do": "answer", "status": 408, "body": TIMEOUT, "execute": True},
    "-1007, not executed": {"do": "answer", "status": 408, "body": TIMEOUT, "execute": False},
    "Service Unavailable": {"do": "answer", "status": 503, "body": UNAVAILABLE, "execute": False},
    "answered late": {"do": "delay", "ms": 40},
    "its events twice": {"do": "duplicate"},
    "its events reversed": {"do": "reorder"},
    "stream silent for 300 ms": {"do": "silence_stream", "ms": 300},
}
TO_ORDERS: Final[dict[str, dict[str, Any]]] = {
    **TO_ANY,
    "refused -2010": {"do": "refuse", "code": -2010},
    "executed 150 ms late": {"do": "execute_late", "ms": 150},
}
TO_LEGS: Final[dict[str, dict[str, Any]]] = {
    **TO_ORDERS,
    "refused -2021": {"do": "refuse", "code": -2021},
    "refused -4130": {"do": "refuse", "code": -4130},
    "hidden for 400 ms": {"do": "forget_algo", "ms": 400},
    "forgotten": {"do": "vanish_algo"},
    "stuck triggering": {"do": "stick_triggering"},
}
KINDS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "entry": TO_ORDERS,
    "exit": TO_ORDERS,
    "stop": TO_LEGS,
    "target": TO_LEGS,
    "cancel": TO_ANY,
    "look-up": {k: v for k, v in TO_ANY.items() if v["do"] not in ("duplicate", "reorder")},
}
TROUBLES: Final = tuple((subject, name) for subject, kinds in KINDS.items() for name in kinds)
