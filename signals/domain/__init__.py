"""The pure part of signals: no Django, clock or I/O."""
