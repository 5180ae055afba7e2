"""The cost report: what a request and a stream cost in each part of the gateway. `python -m bench.cost` writes it."""
