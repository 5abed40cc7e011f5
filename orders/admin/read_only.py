"""The base of every page that is only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin
from django.http import HttpRequest

from infrastructure.admin_pages import ReadOnly

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = unfold.admin.ModelAdmin


class ReadOnlyAdmin(ReadOnly, Base):
    """Shows rows that services and workers write."""

    actions = None
    list_per_page = 50
    # Django's own choice of fields would show amounts with sixteen decimals: a page names what it shows.
    shown: ClassVar[tuple[str, ...]] = ()

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}
        js = ("orders/dialogs.js",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.shown

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Who may change it in Django's terms may look at it; changing stays impossible.
        name = self.opts.model_name
        app = self.opts.app_label
        return any(request.user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))
