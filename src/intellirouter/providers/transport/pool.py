"""The upstream pool: keep-alive connections per address, bounded, with per-phase deadlines and cancellation.

No timer per request: one sweep looks at all busy connections twenty times a second while there are any. A deadline
is therefore kept to within 50 ms, and costs nothing while it is not needed.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from intellirouter.core import (
    SYSTEM_CLOCK,
    Clock,
    Deployment,
    Timeouts,
    UpstreamAddress,
    UpstreamRequest,
    UpstreamResponse,
    errors,
)
from intellirouter.providers.credential_rotation import REFUSALS, CredentialBook, CredentialState
from intellirouter.providers.transport.address import Address, address_of
from intellirouter.providers.transport.address_pool import Peers
from intellirouter.providers.transport.connection import Connection
from intellirouter.providers.transport.response import HttpResponse
from intellirouter.providers.transport.route import Route

_SWEEP_S: Final = 0.05
_CHECK_AFTER_IDLE_S: Final = 0.5
_MAX_WAITING_PER_ADDRESS: Final = 4096
_MAX_ROUTES: Final = 8192
_MAX_TOKEN_BYTES: Final = 64 * 1024
_TOKEN_TIMEOUTS: Final = Timeouts(connect_s=5.0, first_token_s=10.0, idle_s=5.0, total_s=15.0)
_FORM: Final = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
_CLOSING_TURNS: Final = 8
"""A transport tells its protocol of the end on a later turn of the loop, one below TLS some turns later."""


class UpstreamPool:
    """Implements `core.Upstream` over TCP, TLS and unix sockets. Lives on one event loop."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        """`clock` dates signatures and tokens; deadlines are the event loop's."""
        self._loop = asyncio.get_running_loop()
        self._routes: dict[int, Route] = {}
        self._peers: dict[Address, Peers] = {}
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._connections: dict[Connection, Peers] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._book = CredentialBook(self._post_form, clock)

    @property
    def book(self) -> CredentialBook:
        """The credentials and how they are doing, for those who reach deployments in another way."""
        return self._book

    def tls(self, ca_file: str | None) -> ssl.SSLContext:
        """Return the context for a provider's `ca_file`. Raises `UpstreamConnectFailed` where it cannot be read."""
        return self._tls(ca_file)

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
        route = self._routes.get(id(deployment)) or self._route(deployment)
        ring = route.ring
        now_s = self._loop.time()
        deadline_s = now_s + route.timeouts.total_s
        index = ring.pick(now_s)
        tries_left = len(ring.credentials)
        while True:
            tries_left -= 1
            try:
                response = await self._ask(route, request, index, deadline_s)
            except errors.UpstreamAuthFailed:  # no token is to be had for this credential
                following = ring.refuse(index, 401, None, self._loop.time())
                if following is None or not tries_left:
                    raise
            else:
                status = response.status
                if status not in REFUSALS:
                    ring.accept(index, status)
                    return response
                following = ring.refuse(index, status, retry_after_s(response.headers), self._loop.time())
                if following is None or not tries_left:
                    return response
                response.release()
            index = following

    async def _ask(self, route: Route, request: UpstreamRequest, credential: int, deadline_s: float) -> HttpResponse:
        """Send the request with one credential and wait for the answer's headers."""
        timeouts = route.timeouts
        head = route.head(request, credential)
        if head is None:
            head = await self._signed(route, request, credential, deadline_s)
        connection = self._idle(route.peers)
        if connection is None:
            connection = await self._connect(route, min(self._loop.time() + timeouts.connect_s, deadline_s))
        connection.total_deadline_s = deadline_s
        connection.phase = "first token"
        connection.deadline_s = min(self._loop.time() + timeouts.first_token_s, deadline_s)
        self._start_sweep()
        try:
            connection.begin(head, request.body)
            while not connection.has_headers:
                await connection.wait()
        except BaseException:
            connection.close()
            raise
        return HttpResponse(connection, self._loop, timeouts.idle_s)

    async def _signed(self, route: Route, request: UpstreamRequest, credential: int, deadline_s: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await route.signed_head(request, credential)
        except TimeoutError:
            raise errors.UpstreamTimeout(
                f"{route.deployment.name}: no access token before the total deadline."
            ) from None

    async def _post_form(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Exchange a credential for a token: a request like any other, to an address of its own."""
        parts = urlsplit(url)
        to = Deployment(
            name=f"token:{parts.hostname}",
            provider="",
            vendor="",
            upstream_model="",
            address=UpstreamAddress(base_url=f"{parts.scheme}://{parts.netloc}"),
            auth="none",
            timeouts=_TOKEN_TIMEOUTS,
        )
        route = Route(to, self._peers_of(to), self._book.ring(to))
        request = UpstreamRequest(path=parts.path or "/", body=body, headers=_FORM)
        response = await self._ask(route, request, 0, self._loop.time() + _TOKEN_TIMEOUTS.total_s)
        return response.status, await response.read(_MAX_TOKEN_BYTES)

    def credential_states(self, deployments: Iterable[Deployment]) -> tuple[CredentialState, ...]:
        """Return how the credentials of these deployments are doing. No part of a credential is in it."""
        return self._book.states(deployments, self._loop.time())

    def forget(self, live: frozenset[int]) -> None:
        """Drop what is kept of deployments whose `id` is not in `live`, and read ca files anew (after a reload)."""
        self._routes = {key: route for key, route in self._routes.items() if key in live}
        self._book.forget_unused(self._loop.time())
        routed = {route.peers.address for route in self._routes.values()}
        self._peers = {
            address: peers for address, peers in self._peers.items() if peers.open_count or address in routed
        }
        self._contexts = {ca_file: context for ca_file, context in self._contexts.items() if ca_file is None}

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._is_closed = True
        await self._book.stop()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for peers in self._peers.values():
            while peers.waiting:
                waiter = peers.waiting.popleft()
                if not waiter.done():
                    waiter.set_exception(_stopping())
        for connection in list(self._connections):
            connection.close()
        for _ in range(_CLOSING_TURNS):
            if not self._connections:
                break
            await asyncio.sleep(0)

    def _route(self, deployment: Deployment) -> Route:
        peers, ring = self._peers_of(deployment), self._book.ring(deployment)
        if len(self._routes) >= _MAX_ROUTES:  # clients name wildcard deployments: a route is made anew when needed
            del self._routes[next(iter(self._routes))]
        route = self._routes[id(deployment)] = Route(deployment, peers, ring)
        return route

    def _peers_of(self, deployment: Deployment) -> Peers:
        address = address_of(deployment)
        peers = self._peers.get(address)
        if peers is None:
            peers = self._peers[address] = Peers(address, deployment.max_connections)
        elif peers.limit != deployment.max_connections:
            peers.limit = deployment.max_connections  # the configuration read last holds
            peers.grant()
        return peers

    # -- getting a connection -----------------------------------------------------------------------------------

    def _idle(self, peers: Peers) -> Connection | None:
        idle = peers.idle
        while idle:
            connection = idle.pop()
            idle_s = self._loop.time() - connection.idle_since_s
            if connection.is_closed:
                continue
            if idle_s > connection.max_idle_s or (idle_s > _CHECK_AFTER_IDLE_S and connection.is_stale()):
                connection.close()
                continue
            return connection
        return None

    async def _connect(self, route: Route, deadline_s: float) -> Connection:
        peers = route.peers
        name = route.deployment.name
        has_place = False
        try:
            async with asyncio.timeout_at(deadline_s):
                if not peers.take_place() and (connection := await self._wait_for_turn(peers, name)) is not None:
                    return connection
                has_place = True
                return await self._open(peers)
        except TimeoutError:
            raise errors.UpstreamTimeout(
                f"{name}: the connect deadline passed."
                if has_place
                else f"{name}: none of its {peers.limit} connections became free before the connect deadline.",
                code="upstream_connect_timeout",
                hint=None if has_place else "Raise the provider's max_connections, or its connect timeout.",
            ) from None
        except ssl.SSLError as error:
            raise errors.UpstreamConnectFailed(
                f"{name}: TLS failed: {error}", hint="A private authority? Set the provider's ca_file."
            ) from None
        except (OSError, UnicodeError) as error:  # the latter for a host name that cannot be one
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise errors.UpstreamConnectFailed(
                f"{name}: cannot connect to {_place(peers.address)}: {reason}",
                hint="Is it running, and is base_url right?",
            ) from None

    async def _wait_for_turn(self, peers: Peers, name: str) -> Connection | None:
        """Return a connection that became free, or None: then a place to open one is ours."""
        if len(peers.waiting) >= _MAX_WAITING_PER_ADDRESS:
            raise errors.Overloaded(
                f"{name}: {len(peers.waiting)} requests already wait for one of {peers.limit} connections."
            )
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        peers.waiting.append(waiter)
        while True:
            try:
                connection = await waiter
            except asyncio.CancelledError:
                if waiter.cancelled():
                    with contextlib.suppress(ValueError):
                        peers.waiting.remove(waiter)
                elif waiter.exception() is None:
                    self._pass_on(peers, waiter.result())
                raise
            if connection is None or not connection.is_closed:
                return connection
            # It was closed between its being given and our turn of the loop: first in the queue again.
            if peers.take_place():
                return None
            waiter = self._loop.create_future()
            peers.waiting.appendleft(waiter)

    def _pass_on(self, peers: Peers, connection: Connection | None) -> None:
        if connection is None:
            peers.free_place()
        elif not connection.is_closed:
            self._became_idle(connection)

    async def _open(self, peers: Peers) -> Connection:
        """Open a connection in a place that has been taken."""
        connection = Connection(self._loop, self._became_idle, self._was_closed)
        self._connections[connection] = peers
        address = peers.address
        try:
            self._check_running()
            if address.uds is not None:
                await self._loop.create_unix_connection(lambda: connection, address.uds)
            else:
                context = self._tls(address.ca_file) if address.is_tls else None
                transport, _ = await self._loop.create_connection(
                    lambda: connection, address.host, address.port, ssl=context
                )
                sock = transport.get_extra_info("socket")
                if sock is not None:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._check_running()
        except BaseException:
            connection.close()
            self._was_closed(connection)
            raise
        return connection

    def _check_running(self) -> None:
        if self._is_closed:
            raise _stopping()

    def _tls(self, ca_file: str | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            context = ssl.create_default_context()
            if ca_file is not None:
                try:
                    context.load_verify_locations(ca_file)
                except OSError as error:  # ssl.SSLError is one
                    raise errors.UpstreamConnectFailed(
                        f"The certificates in {ca_file} cannot be read: {error.strerror or error}",
                        hint="Check the provider's ca_file: a PEM file of trusted authorities.",
                    ) from None
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[ca_file] = context
        return context

    # -- connection callbacks -----------------------------------------------------------------------------------

    def _became_idle(self, connection: Connection) -> None:
        peers = self._connections.get(connection)
        if peers is None or self._is_closed:
            connection.close()
            return
        if peers.waiting and peers.hand_over(connection):
            return
        connection.idle_since_s = self._loop.time()
        peers.idle.append(connection)

    def _was_closed(self, connection: Connection) -> None:
        peers = self._connections.pop(connection, None)
        if peers is None:
            return
        if connection in peers.idle:
            peers.idle.remove(connection)
        peers.free_place()

    # -- deadlines ----------------------------------------------------------------------------------------------

    def _start_sweep(self) -> None:
        if self._sweep_timer is None and not self._is_closed:
            self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweep_timer = None
        now_s = self._loop.time()
        is_any_open = False
        for connection, peers in list(self._connections.items()):
            is_any_open = True
            if connection.is_busy:
                if now_s >= connection.deadline_s:
                    connection.time_out()
            elif now_s - connection.idle_since_s > connection.max_idle_s and connection in peers.idle:
                connection.close()
        if is_any_open:
            self._start_sweep()


def _place(address: Address) -> str:
    return address.uds or f"{address.host}:{address.port}"


def _stopping() -> errors.UpstreamConnectFailed:
    return errors.UpstreamConnectFailed("The gateway is stopping.")


def retry_after_s(headers: Sequence[tuple[str, str]]) -> float | None:
    """Read the seconds of `Retry-After`; a date, or nonsense, is as good as nothing here."""
    for name, value in headers:
        if name == "retry-after" and value.strip().isdecimal() and len(value) < 12:
            return float(value)
    return None
