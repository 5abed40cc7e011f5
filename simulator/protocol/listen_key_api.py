"""Listen keys: a client opens its user stream with one."""

from __future__ import annotations

from typing import Any

from simulator.engine.errors import refusal
from simulator.protocol.context import RequestContext, Route

VALID_MS = 60 * 60_000


def create(ctx: RequestContext) -> dict[str, Any]:
    """Create a listen key, or extend the valid one."""
    account = ctx.book.account
    if not account.listen_key or account.listen_until <= ctx.now:
        ctx.ex.by_listen_key.pop(account.listen_key, None)
        account.listen_key = ctx.ex.token(f"listen:{account.name}", 64)
        ctx.ex.by_listen_key[account.listen_key] = ctx.book
    account.listen_until = ctx.now + VALID_MS
    ctx.ex.mark_changed(account)
    return {"listenKey": account.listen_key}


def keep_alive(ctx: RequestContext) -> dict[str, Any]:
    """Extend the listen key. Raises ApiError -1125 when none is valid."""
    account = ctx.book.account
    if not account.listen_key or account.listen_until <= ctx.now:
        raise refusal(-1125)
    account.listen_until = ctx.now + VALID_MS
    ctx.ex.mark_changed(account)
    return {"listenKey": account.listen_key}


def close(ctx: RequestContext) -> dict[str, Any]:
    account = ctx.book.account
    ctx.ex.by_listen_key.pop(account.listen_key, None)
    account.listen_key, account.listen_until = "", 0
    ctx.ex.mark_changed(account)
    return {}


ROUTES = {
    ("POST", "/fapi/v1/listenKey"): Route(create, "KEY", changes=True),
    ("PUT", "/fapi/v1/listenKey"): Route(keep_alive, "KEY", changes=True),
    ("DELETE", "/fapi/v1/listenKey"): Route(close, "KEY", changes=True),
}
