"""The demo: real processes, a simulated exchange, eight trios told to their end."""
