"""The pooled HTTP/1.1 client of the data path: asyncio + httptools, nothing between. Door: `UpstreamPool`; `Connection`
and `HttpResponse` for fetching single URLs.

It knows deadlines, backpressure and cancellation; it does not know dialects, retries or money.
"""

from intellirouter.providers.credential_rotation import CredentialState
from intellirouter.providers.transport.connection import Connection
from intellirouter.providers.transport.pool import UpstreamPool
from intellirouter.providers.transport.response import HttpResponse

__all__ = ["Connection", "CredentialState", "HttpResponse", "UpstreamPool"]
