"""The admin with our own site, and the project's own small app."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default = False
    default_site = "backoffice.site.Site"


class BackofficeConfig(AppConfig):
    name = "backoffice"
    verbose_name = "Back office"
