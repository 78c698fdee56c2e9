"""A manifest becomes objects: session, plan (pure), schedule, executors."""
