"""WebSockets to deployments: the credential rotation of the pool, with handshakes bounded by the deployment's timeouts.

The WebSocket library is imported by the first session: most gateways never open one.
"""

import asyncio
import importlib
import ssl
from collections import Counter
from functools import partial
from types import ModuleType
from typing import Final

from msgspec import Struct, structs

from intellirouter.core import Deployment, FrameSocket, SocketRefusal, UpstreamRequest, errors
from intellirouter.providers.auth import SignableRequest
from intellirouter.providers.credential_rotation import REFUSAL_STATUSES, Credential
from intellirouter.providers.transport.address import Address, address_of
from intellirouter.providers.transport.pool import UpstreamPool, connect_failed, named
from intellirouter.providers.transport.request_head import build_head
from intellirouter.providers.transport.tunnel import TunnelRoute

_WEBSOCKET_MODULE: Final = "intellirouter.providers.websocket"
_OMITTED_HEADERS: Final = frozenset({"host", "connection", "content-type", "accept", "accept-encoding", "user-agent"})
"""Headers that the library sets itself, or that have no meaning in a handshake."""


def handshake_timeout_s(deployment: Deployment) -> float:
    """Return how long connecting and the handshake may take."""
    return deployment.timeouts.connect_s + deployment.timeouts.first_token_s


class HandshakeRequest(Struct, frozen=True, kw_only=True):
    """The parameters of one WebSocket handshake."""

    name: str
    """Name of the deployment, for error messages."""
    uri: str
    headers: dict[str, str]
    user_agent: str
    tls: ssl.SSLContext | None
    uds: str | None
    tunnel: TunnelRoute | None = None
    """The way through a proxy, which also secures the connection."""


class WebSocketDialer:
    """Implements `core.SocketUpstream`: direct, through proxies, and over unix sockets.

    It shares the credentials and the TLS contexts of the pool.
    """

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool
        self._open_sessions: Counter[Address] = Counter()
        self._websocket: ModuleType | None = None

    async def connect(
        self, deployment: Deployment, request: UpstreamRequest, *, deadline_s: float | None = None
    ) -> FrameSocket | SocketRefusal:
        """See `core.SocketUpstream`. `deadline_s` in the event loop's time replaces the deployment's timeouts."""
        loop = asyncio.get_running_loop()
        rotation = self._pool.credentials.rotation_of(deployment)
        now_s = loop.time()
        index = rotation.pick(now_s)
        if deadline_s is None:
            deadline_s = now_s + handshake_timeout_s(deployment)
        try:
            result = await self._connect_with(deployment, request, rotation.credentials[index], deadline_s)
        except errors.UpstreamAuthFailed:  # no access token could be obtained with this credential
            rotation.record_refusal(index, 401, None, loop.time())
            raise
        if not isinstance(result, SocketRefusal):
            rotation.record_response(index, 101)
        elif result.status in REFUSAL_STATUSES:
            delay_s = self._pool.retry_after_s(result.headers)
            undo = rotation.record_refusal(index, result.status, delay_s, loop.time())
            return structs.replace(result, spare_credential=undo)
        else:
            rotation.record_response(index, result.status)
            return structs.replace(result, refuse_credential=partial(rotation.refuse, index, now=loop.time))
        return result

    async def _connect_with(
        self, deployment: Deployment, request: UpstreamRequest, credential: Credential, deadline_s: float
    ) -> FrameSocket | SocketRefusal:
        """Perform the handshake with one credential."""
        address = address_of(deployment)
        name = deployment.name
        if self._open_sessions[address] >= deployment.max_connections:
            raise errors.Overloaded(
                f"{name}: All {deployment.max_connections} connections are used by open sessions.",
                hint="Try again later, or raise the provider's max_connections.",
            )
        if self._websocket is None:
            self._websocket = importlib.import_module(_WEBSOCKET_MODULE)
        self._open_sessions[address] += 1
        is_open = False
        try:
            async with asyncio.timeout_at(deadline_s):
                handshake = await self._handshake_request(deployment, request, credential, address)
                result: FrameSocket | SocketRefusal = await self._websocket.open_socket(
                    handshake, lambda: self._on_closed(address)
                )
            is_open = not isinstance(result, SocketRefusal)
        except TimeoutError:
            limit_s = handshake_timeout_s(deployment)
            raise errors.UpstreamTimeout(
                f"{name}: The WebSocket handshake did not complete within {limit_s:g} s "
                "(timeouts.connect_s + timeouts.first_token_s)."
            ) from None
        except errors.ProxyFailed as error:
            raise named(name, error) from None
        except (OSError, UnicodeError) as error:
            raise connect_failed(name, address, error) from None
        finally:
            if not is_open:
                self._on_closed(address)
        return result

    async def _handshake_request(
        self, deployment: Deployment, request: UpstreamRequest, credential: Credential, address: Address
    ) -> HandshakeRequest:
        head = build_head(deployment, request)
        auth_headers = credential.authenticator.static_headers
        if auth_headers is None:
            signable = SignableRequest(
                method=head.method,
                host=head.host,
                target=head.target,
                headers=head.headers,
                body=b"",
                deployment=deployment.name,
                region=deployment.region,
            )
            auth_headers = await credential.authenticator.headers(signable)
        headers = {name: value for name, value in head.headers.items() if name not in _OMITTED_HEADERS}
        return HandshakeRequest(
            name=deployment.name,
            uri=f"{'wss' if address.is_tls else 'ws'}://{head.host}{head.target}",
            headers=headers | dict(auth_headers),
            user_agent=head.headers["user-agent"],
            tls=self._pool.tls_context(address) if address.is_tls else None,
            uds=address.uds,
            tunnel=None if address.proxy is None else self._pool.tunnel_route(address.proxy, address),
        )

    def _on_closed(self, address: Address) -> None:
        self._open_sessions[address] -= 1
        if not self._open_sessions[address]:
            del self._open_sessions[address]
