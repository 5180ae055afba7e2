"""Caches of answers. Door: the door of `semantic`, which is the core of the cache for similar requests.

It has its own door because it is only loaded if it is used.
"""

__all__: list[str] = []
