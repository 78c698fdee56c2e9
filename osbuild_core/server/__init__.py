"""The REST service: composes as ODCS's clients speak of them, and builds. Workers do the work, apart from it."""
