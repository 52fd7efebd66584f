"""Models without an endpoint, for tests and demonstrations: one follows a script, one is simulated."""
