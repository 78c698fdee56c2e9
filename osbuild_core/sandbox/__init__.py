"""Runs programs: stages in a bubblewrap sandbox, host services beside it. Nothing that it starts outlives it."""
