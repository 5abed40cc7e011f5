"""Admin pages of signals."""
