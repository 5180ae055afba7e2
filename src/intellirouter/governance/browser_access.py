"""Which web pages may use the gateway from a browser. Decides from the head of a request alone.

A gateway that requires no key trusts whoever can reach it. A browser on the same machine can reach it for every page
that is open in it. So such a gateway serves only its own names (a page can make its own name point to 127.0.0.1: DNS
rebinding), and changes nothing for pages of other origins.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import errors
from intellirouter.governance.identity import KeyRing
from intellirouter.governance.presented_key import request_key

ANY: Final = "*"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
_ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})
_ORIGIN_HINT: Final = "Add the origin of the page to server.cors_origins, or configure keys."
PREFLIGHT_HINT: Final = (
    "This is a CORS preflight request. Add the origin of the page to server.cors_origins to permit it."
)
"""The hint of the error for a preflight request that is not permitted."""
_EXPOSED_HEADERS: Final = (
    b"x-request-id, retry-after, retry-after-ms, x-intellirouter-deployment, x-intellirouter-model, "
    b"x-intellirouter-upstream-model, x-intellirouter-strategy, "
    b"x-intellirouter-reason, x-intellirouter-attempts, x-intellirouter-cache, x-intellirouter-cost-usd, "
    b"x-intellirouter-dropped"
)
_METHODS: Final = b"GET, POST, DELETE, OPTIONS"
_MAX_AGE_S: Final = b"600"

Headers = list[tuple[bytes, bytes]]


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser asks with this request whether a page of another origin may send one."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


class BrowserAccess:
    """The rules of one configuration. A pure value, apart from a cache of names."""

    def __init__(self, server: ServerSpec, keys: KeyRing) -> None:
        self._keys = keys
        self._server = server
        self._is_open = not keys.is_required
        self._names = frozenset(_folded_name(name) for name in (server.host, "localhost", *server.allowed_hosts))
        self._allows_any_host = ANY in server.allowed_hosts or server.unix_socket is not None
        self._origins = frozenset(origin.rstrip("/").lower() for origin in server.cors_origins)
        self._is_known = lru_cache(maxsize=256)(self._find_host)
        self.is_needed = self._is_open or bool(self._origins)
        """False: every request passes `check`, and no response has CORS headers."""

    def check(
        self, method: str, headers: Mapping[bytes, bytes], *, is_websocket: bool = False, key: bytes | None = None
    ) -> None:
        """Raise `Misdirected` or `Forbidden` if this is, or may be, a request of a web page that is not trusted.

        `key`: the key of a WebSocket. Pages of other origins need a key that they could not have without its owner.
        """
        if not self._is_open:
            return
        host = headers.get(b"host")
        if host is not None and not self._is_known(host):  # browsers always send it
            raise errors.Misdirected(
                f"The host '{host.decode('latin-1')[:100]}' is not a name of this gateway, which requires no API key.",
                hint="Use localhost or 127.0.0.1, add the name to server.allowed_hosts, or configure keys.",
            )
        if (method in _SAFE_METHODS and not is_websocket) or self._is_own_page(headers):
            return
        if not self._has_known_key(key or request_key(headers)):
            raise errors.Forbidden(
                "Web pages of other origins cannot use a gateway that requires no API key.", hint=_ORIGIN_HINT
            )

    def cors_headers(self, headers: Mapping[bytes, bytes]) -> Headers | None:
        """Return the headers that let the page read the response; None if its origin is not configured."""
        origin = headers.get(b"origin")
        if origin is None or not self._allows(origin):
            return None
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]

    def preflight_headers(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """Return the answer to a preflight request; None if it is not one, or if its origin is not configured."""
        if not is_preflight(method, headers):
            return None
        if (answer := self.cors_headers(headers)) is None:
            return None
        answer += [(b"access-control-allow-methods", _METHODS), (b"access-control-max-age", _MAX_AGE_S)]
        if (asked := headers.get(b"access-control-request-headers")) is not None:
            answer.append((b"access-control-allow-headers", asked))
        if headers.get(b"access-control-request-private-network") == b"true":
            answer.append((b"access-control-allow-private-network", b"true"))
        return answer

    def _allows(self, origin: bytes) -> bool:
        return ANY in self._origins or origin.decode("latin-1").lower() in self._origins

    def _is_own_page(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether the request comes from no page, from a page of the gateway, or from one with a known origin.

        Another port of localhost is another origin, although browsers call it the same site.
        """
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site", b"none") in _OWN_SITES
        if self._allows(origin):
            return True
        host = headers.get(b"host", b"")
        return urlsplit(origin.decode("latin-1")).netloc.lower() == host.decode("latin-1").lower()

    def _has_known_key(self, key: bytes | None) -> bool:
        return key is not None and self._keys.knows(key)

    def _find_host(self, host: bytes) -> bool:
        if self._allows_any_host:
            return True
        name = _folded_name(_without_port(host.decode("latin-1")))
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # No name points to an address by rebinding, so an address is safe where the gateway listens on all of them.
        return address.is_loopback or self._server.host in _ALL_ADDRESSES


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0]


def _folded_name(name: str) -> str:
    return name.lower().removesuffix(".")
