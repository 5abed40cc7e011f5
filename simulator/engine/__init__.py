"""The exchange itself: deterministic and seeded. It does no input or output; the time is passed in with every call."""
