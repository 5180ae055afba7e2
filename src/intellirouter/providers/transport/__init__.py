"""The pooled HTTP/1.1 client of the data path, built on asyncio and httptools.

Door: `UpstreamPool`; `Connection` and `HttpResponse` for fetching single URLs.

It implements deadlines, backpressure and cancellation. It knows nothing about dialects, retries or costs.
"""

from intellirouter.providers.credential_rotation import CredentialState
from intellirouter.providers.transport.connection import Connection
from intellirouter.providers.transport.pool import UpstreamPool
from intellirouter.providers.transport.response import HttpResponse
from intellirouter.providers.transport.tls import TlsContexts, TlsFileProblem, build_context
from intellirouter.providers.transport.tunnel import TunnelRoute, open_tunnel

__all__ = [
    "Connection",
    "CredentialState",
    "HttpResponse",
    "TlsContexts",
    "TlsFileProblem",
    "TunnelRoute",
    "UpstreamPool",
    "build_context",
    "open_tunnel",
]
