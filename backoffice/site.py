"""The admin site: unfold's looks, our name."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """One site for everybody; who may do what is decided by permissions."""

    enable_nav_sidebar = True

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from backoffice import error_answers, login_limits  # apps are there by now

        if login_limits.is_nobodys(request):
            return error_answers.refused(400, login_limits.TOO_LONG)
        answer: HttpResponse = super().login(request, extra_context)
        return answer

    def get_urls(self) -> list[Any]:
        from backoffice import dashboard  # models are there by now

        # Nothing here has a page outside the admin; this one would look up rows of any table by two numbers.
        usual = [found for found in super().get_urls() if getattr(found, "name", "") != "view_on_site"]
        return [path("desk/live/", self.admin_view(dashboard.live), name="desk_live"), *usual]
