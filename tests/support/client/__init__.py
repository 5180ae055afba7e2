"""A gateway that sends prepared responses, for tests of the Python client and the command line."""
