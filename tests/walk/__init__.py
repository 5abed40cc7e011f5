"""The exhaustive walk of the pure core: every reachable snapshot under an adversarial exchange.

What it searches and what it asks is told in docs/explanation/how-we-know.md.

``world`` holds what there is; ``venue`` is the exchange, ``service`` the rows and turns around
``decide``, ``adversary`` what may happen next, ``canon`` which worlds count as one, ``rows`` the tables of
the pages as predicates, ``walker`` the search and its judgement.
"""
