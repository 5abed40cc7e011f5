"""Queueing: from a draft to a trio that is placed. One way for one trio and for many.

``surroundings`` is what our books know of where a trio would go, ``market`` what the exchange is asked,
``check`` decides, ``queue`` does it all for a set of trios.
"""
