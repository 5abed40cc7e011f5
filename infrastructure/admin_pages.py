"""What the admin pages of every app share: actions behind dialogs, and models that are only looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from simple_history.admin import SimpleHistoryAdmin
from unfold.forms import BaseDialogForm

if TYPE_CHECKING:
    DialogForm = forms.Form
    AdminBase = admin.ModelAdmin[Any]
    HistoryBase = admin.ModelAdmin[Any]
else:
    DialogForm = BaseDialogForm
    AdminBase = object
    HistoryBase = SimpleHistoryAdmin


def dialog(title: str, description: str, button: str, form: type[forms.Form] | None = None) -> dict[str, Any]:
    """Return the dialog in front of an action. Without one, unfold would run the action on a GET."""
    found: dict[str, Any] = {"title": title, "description": description, "form_submit_text": button}
    return found | ({"form_class": form} if form else {})


def redirect(request: HttpRequest, url: str) -> HttpResponse:
    """Send the visitor to a page. htmx, which posts the dialogs, swallows a 302."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


class DialogActions(AdminBase):
    """Runs actions on the object of a page, and reports on that page what came of them."""

    # Raised to refuse: shown as a message. Anything else is a bug.
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    def refusal_message(self, obj: Any, error: Exception) -> str:
        return str(error)

    def run(self, request: HttpRequest, obj: Any, perform: Callable[[Any], str]) -> str:
        """Perform an action and report the outcome. Returns the sentence of a success, nothing for a refusal."""
        try:
            sentence = perform(obj)
        except self.refusals as error:
            messages.error(request, self.refusal_message(obj, error))
            return ""
        messages.success(request, sentence)
        return sentence

    def on_page(self, request: HttpRequest, object_id: str, run: Callable[[Any], object]) -> HttpResponse:
        """Run something on the object whose page this is, and return there."""
        obj = self.get_object(request, object_id)
        pages = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if obj is None:
            messages.error(request, f"This {self.opts.verbose_name} does not exist (any more).")
            return redirect(request, reverse(f"{pages}_changelist"))
        run(obj)
        return redirect(request, reverse(f"{pages}_change", args=[obj.pk]))


class ReadOnly(AdminBase):
    """A person changes nothing here, not even a superuser."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyHistory(HistoryBase):
    """Shows what a row was. simple_history's own page would save that over what it is, whoever asks for it."""

    def has_change_history_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def history_form_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied("History is read-only. Nothing was changed.")
        page: HttpResponse = super().history_form_view(request, *args, **kwargs)  # type: ignore[misc,unused-ignore]
        return page
