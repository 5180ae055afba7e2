"""Fetches the URLs in client requests (images, files), guarded against server-side request forgery.

Door: `UrlFetcher`. URLs in requests are untrusted: only public addresses are fetched unless the operator allows others.
"""

from intellirouter.providers.fetch.fetcher import UrlFetcher

__all__ = ["UrlFetcher"]
