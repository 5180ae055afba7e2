"""Vendors as data, and the clients that reach them.

Door: `VENDORS`, `UpstreamPool`, `WebSocketDialer`, `RotatingUpstream` (the pool with automatic credential rotation, for
requests outside of exchanges), `UrlFetcher` for URLs in requests, `discover_models`, `probe_local`,
`build_context` for checks of certificates and keys.
Vendor names appear here, in dialects and in data files, and nowhere else.
"""

from intellirouter.providers.discover import DiscoveredModel, discover_models
from intellirouter.providers.fetch import UrlFetcher
from intellirouter.providers.probe import probe_local
from intellirouter.providers.realtime import WebSocketDialer
from intellirouter.providers.rotating import RotatingUpstream
from intellirouter.providers.rows import VENDORS
from intellirouter.providers.transport import CredentialState, TlsFileProblem, UpstreamPool, build_context

__all__ = [
    "VENDORS",
    "CredentialState",
    "DiscoveredModel",
    "RotatingUpstream",
    "TlsFileProblem",
    "UpstreamPool",
    "UrlFetcher",
    "WebSocketDialer",
    "build_context",
    "discover_models",
    "probe_local",
]
