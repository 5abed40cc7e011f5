"""Sends one message, in a process of its own that may reach public addresses and nothing else. Knows no Django."""
