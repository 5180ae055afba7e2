"""Benchmarks: what a request through the gateway costs, compared with nginx and other gateways on the same upstream.

`python -m bench` runs them. README.md explains the result. No test depends on it.
"""
