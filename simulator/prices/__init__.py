"""Where prices come from: recorded bars walked inside each bar, a seeded walk, or a hand."""
