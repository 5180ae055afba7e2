"""Servers on loopback that misbehave, for tests of the connection pool."""
