"""Examples of strategies: to read, to copy and to try on PAPER. None of them is advice, and none earns money by itself."""
