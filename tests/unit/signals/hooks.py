"""A webhook source for stories, and somebody who posts to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from orders.models import TrioOrder
from signals.hooks import secret_add
from signals.models import HookPost, HookSource, Signal, SignalResult
from tests.builders import Desk
from worker.signal_execution import signals_execute


@dataclass
class Sender:
    """Somebody who knows a source's secret. What is posted is carried out at once, as a job would."""

    source: HookSource
    secret: str
    client: Client = field(default_factory=Client)

    def post(self, body: Any = None, *, secret: str | None = "", name: str = "", **headers: str) -> Any:
        """Post a body (an object, or bytes as they are) with the secret in it, unless another or none is wanted."""
        if not isinstance(body, bytes):
            body = dict(body or {})
            if secret is not None:
                body["secret"] = secret or self.secret
            body = json.dumps(body).encode()
        return self.client.generic(
            "POST", f"/hooks/{name or self.source.name}/", body, content_type="text/plain", headers=headers
        )

    def sends(self, body: Any = None, **said: Any) -> SignalResult:
        """Post, have it carried out, and return what became of it on the one account."""
        answer = self.post(body, **said)
        assert answer.status_code == 202, answer.content
        signal = Signal.objects.get(pk=answer.json()["signal"])
        signals_execute([signal.pk])
        return SignalResult.objects.get(signal=signal)

    def counts(self) -> tuple[int, int, int]:
        """Return how many posts, signals and trios there are."""
        return HookPost.objects.count(), Signal.objects.count(), TrioOrder.objects.count()


def a_sender(desk: Desk, name: str = "view", **said: Any) -> Sender:
    usual: dict[str, Any] = {
        "symbols": "BTCUSDT, ADAUSDT, ETHUSDT",
        "size_kind": "QUANTITY", "size_value": "0.010",
        "stop_kind": "PERCENT", "stop_value": "5",
        "target_kind": "R", "target_value": "2",
    }  # fmt: skip
    source = HookSource.objects.create(name=name, **(usual | said))
    source.refresh_from_db()
    source.accounts.add(desk.account)
    return Sender(source, secret_add(source))


BUY = {"symbol": "BINANCE:BTCUSDT.P", "action": "buy"}
