"""Who is alive: runworkers, the watch of each account, the exchange's clocks."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.models import Clock, Heartbeat, Watch


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    list_display = ("account", "holder", "heartbeat", "stream", "reconciled", "interval", "note")
    list_select_related = ("account",)
    search_fields = ("account__name", "holder")
    shown = (
        *(
            "account",
            "holder",
            "incarnation",
            "heartbeat",
            "stream",
            "reconciled",
            "interval",
            "listed",
            "conditionals",
        ),
        *("failures", "retry", "note"),
    )
    heartbeat = columns.time("beat", "Heartbeat")
    stream = columns.time("stream_since", "Stream connected since")
    reconciled = columns.time("swept_at", "Reconciled")
    listed = columns.time("full_at", "All orders listed")
    retry = columns.time("retry_at", "Next retry")

    @display(description="Every", ordering="interval_ms")
    def interval(self, watch: Watch) -> str:
        return f"{watch.interval_ms / 1000:.0f} s" if watch.interval_ms else columns.NOTHING

    @display(description="External conditional orders", ordering="stranger_conditionals")
    def conditionals(self, watch: Watch) -> str:
        return str(watch.stranger_conditionals) if watch.full_at else columns.NOTHING


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("process", "started", "heartbeat", "note")
    search_fields = ("process",)
    shown = ("process", "started", "heartbeat", "note")
    started = columns.time("started_at", "Started")
    heartbeat = columns.time("beat", "Heartbeat")


@admin.register(Clock)
class ClockAdmin(ReadOnlyAdmin):
    list_display = ("environment", "offset", "round_trip", "measured")
    shown = ("environment", "offset", "round_trip", "measured")
    measured = columns.time("measured_at", "Measured")

    @display(description="Exchange clock ahead by", ordering="offset_ms")
    def offset(self, clock: Clock) -> str:
        return f"{clock.offset_ms:+d} ms"

    @display(description="Round trip", ordering="round_trip_ms")
    def round_trip(self, clock: Clock) -> str:
        return f"{clock.round_trip_ms} ms"
