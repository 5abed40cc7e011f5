"""Measurements: one file a benchmark. Nothing else imports them."""
