"""Fetching what clients point at (images, files), without becoming their way into the network. Door: `UrlFetcher`.

A URL in a request is a stranger's: only public addresses are connected to, unless the operator allows others.
"""

from intellirouter.providers.fetch.fetcher import UrlFetcher

__all__ = ["UrlFetcher"]
