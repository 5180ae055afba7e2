"""Vendors as data, and the way to reach them.

Door: `VENDORS`, `UpstreamPool`, `SocketDialer`, `UrlFetcher` for what clients point at, `discover_models`,
`probe_local`.
A vendor's name appears here, in dialects and in data files, and nowhere else.
"""

from intellirouter.providers.discover import FoundModel, discover_models
from intellirouter.providers.fetch import UrlFetcher
from intellirouter.providers.probe import probe_local
from intellirouter.providers.realtime import SocketDialer
from intellirouter.providers.rows import VENDORS
from intellirouter.providers.transport import CredentialState, UpstreamPool

__all__ = [
    "VENDORS",
    "CredentialState",
    "FoundModel",
    "SocketDialer",
    "UpstreamPool",
    "UrlFetcher",
    "discover_models",
    "probe_local",
]
