"""The exchange itself: deterministic, seeded, without any input or output of its own.

Everything that happens is a call with the time passed in: ``(request or tick, now) -> (answer, events)``.
"""
