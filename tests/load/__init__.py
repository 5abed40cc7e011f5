"""Acceptance under load: real processes on one machine, judged by the exchange's log, its verdict and the database."""
