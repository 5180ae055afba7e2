"""A gateway in a separate process, its shared fixtures, and ways to talk to it below the level of an HTTP client."""
