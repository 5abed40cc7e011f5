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

handler400 = "backoffice.error_answers.bad_request"
handler403 = "backoffice.error_answers.permission_denied"
handler404 = "backoffice.error_answers.page_not_found"
handler500 = "backoffice.error_answers.server_error"
