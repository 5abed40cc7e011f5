"""The REST protocol: paths, parameters, signatures, rate limits. Text in, JSON out; the engine does the rest."""
