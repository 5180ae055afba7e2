"""Availability: the share of requests that succeed while one of three deployments misbehaves."""
