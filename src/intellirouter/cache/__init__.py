"""Caches of answers. Rooms inside: `semantic`, the pure core of the cache for similar requests."""
