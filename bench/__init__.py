"""Measurements: one file a benchmark; ``python -m bench`` runs them and writes the page. No product code imports them."""
