"""Replay: recorded bars through strategy, executor and placement as they are, on a simulated exchange of its own."""
