"""Strategies: what one is given and may answer, examples, and the process that each runs in. Knows no Django."""
