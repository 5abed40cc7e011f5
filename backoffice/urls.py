"""Addresses: the admin, and two for machines. django-rq's own pages are deliberately absent."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic.base import RedirectView

from backoffice import health
from signals import web

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("hooks/<slug:name>/", web.hook, name="hook"),
    path("hooks/<slug:name>", web.hook),  # a sender follows no redirect
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.metrics, name="metrics"),
    path("favicon.ico", RedirectView.as_view(url="/static/backoffice/favicon.svg")),
]

handler400 = "backoffice.refusals.bad_request"
handler403 = "backoffice.refusals.permission_denied"
handler404 = "backoffice.refusals.page_not_found"
handler500 = "backoffice.refusals.server_error"
