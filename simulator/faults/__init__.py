"""Faults as data: which request or event, at which occurrence, and what happens then.

{"match": {"method": "POST", "path": "/fapi/v1/algoOrder", "type": "STOP_MARKET", "client_id": "^ab"},
 "occurrence": 1, "then": {"do": "refuse", "code": -2021}}

``then`` may be a list of such actions with weights; each time one is drawn from the seed:

{"occurrence": {"share": "0.05"}, "then": [{"weight": 3, "do": "lose_answer"}, {"do": "delay", "ms": 900}]}
"""
