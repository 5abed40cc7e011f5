"""The exhaustive walk of the pure core: every reachable snapshot under an adversarial exchange (design §10).

``world`` holds what there is; ``venue`` is the exchange, ``service`` the rows and turns around
``decide``, ``adversary`` what may happen next, ``canon`` which worlds count as one, ``rows`` the tables of
the design as predicates, ``walker`` the search and its judgement.
"""
