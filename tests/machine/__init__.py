"""The state machine: hypothesis drives the real service, PostgreSQL and the in-process exchange."""
