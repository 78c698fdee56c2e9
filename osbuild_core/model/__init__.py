"""Frozen types that every layer speaks: manifest, plan, events, results, errors. No I/O here."""
