"""Clients of every dialect and upstreams of every kind, for end-to-end tests of the translation between them."""
