"""WebSockets to deployments: credentials in turn, as for requests; handshakes within the deployment's deadlines.

The WebSocket library is loaded by the first session: most gateways never hold one.
"""

import asyncio
import importlib
import ssl
from collections import Counter
from types import ModuleType
from typing import Final

from msgspec import Struct

from intellirouter.core import Deployment, FrameSocket, SocketRefusal, UpstreamRequest, errors
from intellirouter.providers.auth import Signable
from intellirouter.providers.credential_rotation import REFUSALS, Credential
from intellirouter.providers.transport.address import Address, address_of, head_of
from intellirouter.providers.transport.pool import UpstreamPool, retry_after_s

_LIBRARY: Final = "intellirouter.providers.websocket"
_OURS: Final = frozenset({"host", "connection", "content-type", "accept", "accept-encoding", "user-agent"})
"""Headers that the handshake writes itself, or that say nothing in one."""


class Handshake(Struct, frozen=True, kw_only=True):
    """What the library needs to know."""

    name: str
    """The deployment's, for messages."""
    uri: str
    headers: dict[str, str]
    user_agent: str
    tls: ssl.SSLContext | None
    uds: str | None


class SocketDialer:
    """Implements `core.SocketUpstream` over TCP, TLS and unix sockets, with the pool's credentials and certificates."""

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool
        self._open: Counter[Address] = Counter()
        self._library: ModuleType | None = None

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        loop = asyncio.get_running_loop()
        ring = self._pool.book.ring(deployment)
        deadline_s = loop.time() + deployment.timeouts.connect_s + deployment.timeouts.first_token_s
        index = ring.pick(loop.time())
        tries_left = len(ring.credentials)
        while True:
            tries_left -= 1
            answer = await self._shake_hands(deployment, request, ring.credentials[index], deadline_s)
            status = answer.status if isinstance(answer, SocketRefusal) else 101
            if status not in REFUSALS:
                ring.accept(index, status)
                return answer
            headers = answer.headers if isinstance(answer, SocketRefusal) else ()
            following = ring.refuse(index, status, retry_after_s(headers), loop.time())
            if following is None or not tries_left:
                return answer
            index = following

    async def _shake_hands(
        self, deployment: Deployment, request: UpstreamRequest, credential: Credential, deadline_s: float
    ) -> FrameSocket | SocketRefusal:
        address = address_of(deployment)
        if self._open[address] >= deployment.max_connections:
            raise errors.Overloaded(
                f"{deployment.name}: {self._open[address]} sessions are open already.",
                hint="Raise the provider's max_connections.",
            )
        if self._library is None:
            self._library = importlib.import_module(_LIBRARY)
        name = deployment.name
        self._open[address] += 1
        has_opened = False
        try:
            async with asyncio.timeout_at(deadline_s):
                handshake = await self._handshake(deployment, request, credential, address)
                answer: FrameSocket | SocketRefusal = await self._library.open_socket(
                    handshake, lambda: self._closed(address)
                )
            has_opened = not isinstance(answer, SocketRefusal)
        except TimeoutError:
            raise errors.UpstreamTimeout(f"{name}: no answer to the handshake in time.") from None
        except ssl.SSLError as error:
            raise errors.UpstreamConnectFailed(
                f"{name}: TLS failed: {error}", hint="A private authority? Set the provider's ca_file."
            ) from None
        except (OSError, UnicodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise errors.UpstreamConnectFailed(
                f"{name}: cannot connect to {address.uds or f'{address.host}:{address.port}'}: {reason}",
                hint="Is it running, and is base_url right?",
            ) from None
        finally:
            if not has_opened:
                self._closed(address)
        return answer

    async def _handshake(
        self, deployment: Deployment, request: UpstreamRequest, credential: Credential, address: Address
    ) -> Handshake:
        head = head_of(deployment, request)
        signable = Signable(
            method=head.method,
            host=head.host,
            target=head.target,
            headers=head.headers,
            body=b"",
            deployment=deployment.name,
            region=deployment.region,
        )
        shown = credential.presenter.fixed
        if shown is None:
            shown = await credential.presenter.headers(signable)
        headers = {name: value for name, value in head.headers.items() if name not in _OURS} | dict(shown)
        return Handshake(
            name=deployment.name,
            uri=f"{'wss' if address.is_tls else 'ws'}://{head.host}{head.target}",
            headers=headers,
            user_agent=head.headers["user-agent"],
            tls=self._pool.tls(address.ca_file) if address.is_tls else None,
            uds=address.uds,
        )

    def _closed(self, address: Address) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
