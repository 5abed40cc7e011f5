"""Where prices come from: recorded bars, a seeded random walk, or a hand."""
