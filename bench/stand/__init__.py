"""What is measured on: servers and processes of its own, the exchange's log, PostgreSQL's log of statements."""
