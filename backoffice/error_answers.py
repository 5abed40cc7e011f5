"""What the web answers where it cannot do what was asked: a sentence, never an error of ours.

With a 4xx to a request that cannot be meant, with a 503 while the database does not answer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import TO_FIELD_VAR
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import DateField, Field, Model
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse

from infrastructure.connections import UNANSWERED, database_silent, error_line

logger = logging.getLogger(__name__)

KEYS: Final = ("object_id", "id")  # what these addresses call the row they are about
LOOK_UP_THEMSELVES: Final = ("_history", "_password_change")  # the others go by get_object, which minds
SHOWN_MAX: Final = 40
SAFE: Final = ("GET", "HEAD", "OPTIONS")
NOT_FOUND: Final = "There is no such page."
NOT_ALLOWED: Final = "You may not do this. Ask for the right, or sign in as somebody who has it."
BROKEN: Final = (
    "Something went wrong in this program; the log says what. Whether anything was done is not known: look before you "
    "try again."
)
NOTHING_DONE: Final = "Nothing was done. Open positions keep the orders that protect them at the exchange."
DONE_OR_NOT: Final = (
    "Whether what you asked for was done is not known: once the database answers, look at it before you try again "
    "(a trio is never placed twice)."
)
LOCKED_OUT: Final = (
    "Too many attempts to sign in failed, for this name or from this address. Wait a quarter of an hour, or ask somebody who may "
    "reset it (“manage.py axes_reset”). Trading goes on meanwhile."
)
TITLES: Final = {
    400: "That cannot be understood",
    403: "You may not do this",
    404: "There is nothing here",
    429: "Signing in is locked for now",
    500: "Something went wrong",
    503: "Not available right now",
}
NOT_UNDERSTOOD: Final = "This request cannot be understood. Go back, reload the page and try again."


def refused(status: int, sentence: str) -> HttpResponse:
    """Return a page that says why."""
    answer = SimpleTemplateResponse(
        "refused.html",
        {"title": TITLES.get(status) or HTTPStatus(status).phrase, "status": status, "sentence": sentence},
        status=status,
    )
    return answer.render()


def locked_out(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Answer who has tried to sign in too often."""
    return refused(429, LOCKED_OUT)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refused(400, NOT_UNDERSTOOD)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refused(403, str(exception) or NOT_ALLOWED)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    said = exception.args[0] if exception.args else ""
    return refused(404, said if isinstance(said, str) and said else NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer for what no view caught."""
    return unanswered(request, sys.exc_info()[1]) or refused(500, BROKEN)


def unanswered(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """Return the page that names the database, when that is what did not answer."""
    if not isinstance(error, UNANSWERED):
        return None
    done = NOTHING_DONE if request.method in SAFE else DONE_OR_NOT
    logger.warning("%s %s: %s", request.method, request.path[:200], error_line(error))
    return refused(503, f"{database_silent(error)} {done}")


class NameTheDatabase:
    """Answer with a 503 that names the database when a page fails because that does not answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return unanswered(request, exception)


class RefuseBadKeys:
    """Refuse what names a row by something that is no key, before any page looks it up.

    Django's admin and the packages that bring pages of their own hand such a value to the database or to the
    model's field, each in its own way, and some of them end in an error.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if any("\0" in value for _, values in request.GET.lists() for value in values):
            return refused(
                400, NOT_UNDERSTOOD
            )  # no column holds it, and a list is filtered by what it is asked
        model = _model_of(request)
        if model is None:
            return None
        if "" in (request.GET.get(TO_FIELD_VAR), request.POST.get(TO_FIELD_VAR)):
            return refused(400, NOT_UNDERSTOOD)  # Django takes it for the name of a field
        if _dates_given(request, model):
            return refused(400, "A date cannot be filled in by an address: enter it in the form.")
        for field, value in _keys_named(request, model, args, kwargs):
            if not _is_key(field, value):
                shown = value[:SHOWN_MAX].replace("\0", "")
                status = 404 if field.primary_key else 400
                return refused(
                    status,
                    f"“{shown}” names no {field.model._meta.verbose_name if status == 404 else field.verbose_name}.",
                )
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DataError):
            return None
        # Too long, out of range, not text: what a person sent does not fit into a column.
        logger.warning(
            "refused %s %s: %s", request.method, request.path[:200], type(exception.__cause__).__name__
        )
        return refused(400, "Something that was sent is too long, too large or not text. Nothing was done.")


def _model_of(request: HttpRequest) -> type[Model] | None:
    name = _page(request)
    for model in admin.site._registry:
        if name.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return model
    return None


def _keys_named(
    request: HttpRequest, model: type[Model], args: Any, kwargs: Any
) -> Iterator[tuple[Field[Any, Any], str]]:
    own: Any = model._meta.pk
    for name in KEYS:
        if name in kwargs and _page(request).endswith(LOOK_UP_THEMSELVES):
            yield own, unquote(str(kwargs[name]).replace("_", "%"))
    if len(args) == 2:  # one version of a row's history: both come without a name
        yield own, args[0]
        yield model.history.model._meta.pk, args[1]  # type: ignore[attr-defined]
    for value in request.POST.getlist(ACTION_CHECKBOX_NAME):
        yield own, value
    # What a list is filtered by, Django checks itself.
    given = [request.POST] if _page(request).endswith("_changelist") else [request.GET, request.POST]
    for relation in (*model._meta.fields, *model._meta.many_to_many):
        if not relation.is_relation:
            continue
        for values in given:
            for value in values.getlist(relation.name):
                for part in value.split(",") if relation.many_to_many else [value]:
                    yield relation, part


def _dates_given(request: HttpRequest, model: type[Model]) -> bool:
    """Does the address of an empty form name a date? Django fills it in as text, which its own fields cannot show."""
    if not _page(request).endswith("_add"):
        return False
    return any(isinstance(field, DateField) and field.name in request.GET for field in model._meta.fields)


def _page(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match.url_name or "") if match is not None and match.app_names == ["admin"] else ""


def _is_key(field: Field[Any, Any], value: str) -> bool:
    if not field.primary_key:
        if not value:
            return True  # nothing chosen: the form says whether that will do
        field = field.related_model._meta.pk  # type: ignore[union-attr]
    try:
        field.clean(value, None)
    except ValidationError:
        return False
    return "\0" not in value
