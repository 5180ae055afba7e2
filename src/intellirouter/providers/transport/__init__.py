"""The pooled HTTP/1.1 client of the data path: asyncio + httptools, nothing between. Door: `UpstreamPool`.

It knows deadlines, backpressure and cancellation; it does not know dialects, retries or money.
"""

from intellirouter.providers.transport.pool import UpstreamPool

__all__ = ["UpstreamPool"]
