"""What is decided about notices. Pure: no Django, clock or network."""
