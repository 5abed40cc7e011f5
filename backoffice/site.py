"""The admin site: unfold's looks, our name."""

from __future__ import annotations

from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """One site for everybody; who may do what is decided by permissions."""

    enable_nav_sidebar = True
