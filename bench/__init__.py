"""Benchmarks: what a request through the gateway costs, beside nginx and other gateways on the same upstream.

`python -m bench` runs them; README.md says how to read the result. Nothing here decides whether a test passes.
"""
