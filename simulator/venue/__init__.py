"""One running exchange: time, requests, faults, the log, and whose fault uncovered time is."""
