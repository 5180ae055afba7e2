"""Deployments and calls for tests of routing."""
