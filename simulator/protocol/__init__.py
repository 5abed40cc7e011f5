"""The wire: paths, parameters, signatures, limits. Text in, text out; the engine does the rest."""
