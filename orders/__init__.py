"""What we trade: symbols, trio orders, their legs and the journal of what happened to each."""
