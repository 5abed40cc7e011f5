"""``POST /hooks/<source>/``: the address for machines. It answers in milliseconds; the work is queued."""

from __future__ import annotations

from typing import IO, Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from infrastructure.client_address import client_address
from signals.hooks import BODY_MAX, Arrival, post_receive


@csrf_exempt  # it carries no cookie of anybody: the secret is what lets it in
@sensitive_variables("arrival", "body", "bearer")
def hook(request: HttpRequest, name: str) -> HttpResponse:
    """Take one post in."""
    if request.method != "POST":
        return _answer(405, {"error": "Send a POST."}, Allow="POST")
    body = _body(request)
    if body is None:
        return _answer(413, {"error": f"A post may have {BODY_MAX} bytes."})
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    arrival = Arrival(
        name=name,
        body=body,
        address=client_address(request),
        secret=request.headers.get("X-Hook-Secret", "")
        or (bearer.strip() if scheme.lower() == "bearer" else ""),
        key=request.headers.get("Idempotency-Key", "")[:500],
    )
    answer = post_receive(arrival)
    headers = {"Idempotent-Replay": "true"} if answer.is_repeat else {}
    return _answer(answer.status, dict(answer.document), **headers)


def _body(request: HttpRequest) -> bytes | None:
    """Return the body, nothing when it is too large: then no more of it is read than that takes to know."""
    try:
        if int(request.headers.get("Content-Length") or 0) > BODY_MAX:
            return None
        body = _stream(request).read(BODY_MAX + 1)
    except (ValueError, UnreadablePostError, RequestDataTooBig):
        return None
    return body if len(body) <= BODY_MAX else None


def _stream(request: HttpRequest) -> IO[bytes]:
    """Return what the body is read from: one that comes in chunks says no length, and Django would read none of it."""
    is_chunked = not request.headers.get("Content-Length") and request.META.get("wsgi.input_terminated")
    stream: Any = request.META["wsgi.input"] if is_chunked else request
    found: IO[bytes] = stream
    return found


def _answer(status: int, document: dict[str, object], **headers: str) -> HttpResponse:
    return JsonResponse(document, status=status, headers={"Cache-Control": "no-store", **headers})
