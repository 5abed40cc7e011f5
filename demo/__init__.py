"""The demo: real processes, a simulated exchange, eight trios carried to their end."""
