"""The crash matrix: a process dies or stops at a chosen instant, the exchange misbehaves, and life goes on."""
