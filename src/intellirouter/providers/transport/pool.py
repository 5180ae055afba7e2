"""The upstream pool: bounded keep-alive connections per address, with a deadline per phase and cancellation.

Requests have no timers of their own: while connections are open, one sweep checks all busy ones twenty times a second.
A deadline is therefore accurate to 50 ms and costs nothing unless it is reached.
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
    SYSTEM_TRUST,
    AnswerBudget,
    Clock,
    Deployment,
    Proxy,
    Timeouts,
    TrustFiles,
    UpstreamAddress,
    UpstreamRequest,
    UpstreamResponse,
    errors,
    read_retry_after_s,
)
from intellirouter.providers.credential_rotation import (
    REFUSAL_STATUSES,
    ROTATION_STATUSES,
    CredentialRegistry,
    CredentialState,
)
from intellirouter.providers.transport.address import Address, address_of, has_address
from intellirouter.providers.transport.address_pool import AddressPool
from intellirouter.providers.transport.connection import CLIENT_CERTIFICATE_HINT, Connection
from intellirouter.providers.transport.deployment_state import DeploymentState
from intellirouter.providers.transport.response import HttpResponse
from intellirouter.providers.transport.tls import TlsContexts
from intellirouter.providers.transport.tunnel import TunnelRoute, connect_to_proxy, open_tunnel, os_reason, refusal

_SWEEP_S: Final = 0.05
_STALE_CHECK_AFTER_S: Final = 0.5
_STALE_WITHIN_S: Final = 2.0
"""A reused connection that breaks later than this was not dead: the upstream has worked on the request."""
_PROXY_AUTHENTICATION: Final = 407
_MAX_WAITING_PER_ADDRESS: Final = 4096
_MAX_DEPLOYMENTS: Final = 8192
_MAX_TOKEN_BYTES: Final = 64 * 1024
_TOKEN_TIMEOUTS: Final = Timeouts(connect_s=5.0, first_token_s=10.0, idle_s=5.0, total_s=15.0)
_NO_ADDRESS: Final = UpstreamAddress(base_url="")
_FORM_HEADERS: Final = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
_CLOSE_ITERATIONS: Final = 8
"""A transport reports its end in a later iteration of the loop, with TLS several iterations later."""


def _blames_credential(error: errors.GatewayError) -> bool:
    """Return whether the error document blames the credential or its account, whatever the status is."""
    if isinstance(error, errors.UpstreamAuthFailed):
        return error.is_explicit
    return isinstance(error, errors.UpstreamQuotaExhausted | errors.UpstreamRateLimited)


class UpstreamPool:
    """Implements `core.Upstream` and `core.CredentialRotator` over TCP, TLS and unix sockets.

    Belongs to one event loop.
    """

    def __init__(
        self, clock: Clock = SYSTEM_CLOCK, *, trust: TrustFiles = SYSTEM_TRUST, answers: AnswerBudget | None = None
    ) -> None:
        """`clock` is used for signatures and tokens. Deadlines use the event loop's time."""
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._states: dict[Deployment, DeploymentState] = {}
        """By identity: after a reload, requests in flight still use the old deployments next to the new ones."""
        self._address_pools: dict[Address, AddressPool] = {}
        self._configured_limits: dict[Address, int] = {}
        self._provider_addresses: dict[str, UpstreamAddress] = {}
        """How each provider is reached, for the endpoints that issue its access tokens."""
        self._tls_contexts = TlsContexts(trust)
        self._connections: dict[Connection, AddressPool] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._clock = clock
        self._credentials = CredentialRegistry(self._post_form, clock)

    @property
    def credentials(self) -> CredentialRegistry:
        """The credentials of all deployments, shared with clients of other protocols."""
        return self._credentials

    async def send(
        self, deployment: Deployment, request: UpstreamRequest, *, deadline_s: float | None = None
    ) -> UpstreamResponse:
        """See `core.Upstream`. `deadline_s` in the event loop's time replaces the deployment's total timeout."""
        state = self._states.get(deployment) or self._create_state(deployment)
        rotation = state.rotation
        now_s = self._loop.time()
        choice = request.credential
        index = rotation.pick(now_s) if choice is None else rotation.pick_for(choice, now_s)
        try:
            response = await self._send_with(
                state, request, index, now_s + state.timeouts.total_s if deadline_s is None else deadline_s
            )
        except errors.UpstreamAuthFailed:  # no access token could be obtained with this credential
            rotation.record_refusal(index, 401, None, self._loop.time())
            raise
        if response.status in REFUSAL_STATUSES:
            response.undo_refusal = rotation.record_refusal(
                index, response.status, self.retry_after_s(response.headers), self._loop.time()
            )
        else:
            response.refusals_before = rotation.record_response(index, response.status)
        response.credential = rotation.credentials[index]
        return response

    def retry_after_s(self, headers: Sequence[tuple[str, str]]) -> float | None:
        """Return how long an upstream asks callers to wait."""
        return read_retry_after_s(headers, self._clock.epoch_us())

    def can_rotate(self, deployment: Deployment, error: errors.GatewayError, status: int | None) -> bool:
        """See `core.CredentialRotator`."""
        if status is None:
            is_credential_at_fault = isinstance(error, errors.UpstreamAuthFailed)
        else:
            is_of_request = error.blame == "client" or isinstance(error, errors.UpstreamModelMissing)
            is_rate_limit_in_200 = status < 300 and isinstance(error, errors.UpstreamRateLimited)
            is_credential_at_fault = not is_of_request and (
                status in ROTATION_STATUSES or is_rate_limit_in_200 or _blames_credential(error)
            )
        return is_credential_at_fault and self._credentials.can_rotate(deployment, self._loop.time())

    async def _send_with(
        self, state: DeploymentState, request: UpstreamRequest, credential: int, deadline_s: float
    ) -> HttpResponse:
        """Send the request with one credential and wait for the response headers."""
        timeouts = state.timeouts
        head = state.head(request, credential)
        if head is None:
            head = await self._signed_head(state, request, credential, deadline_s)
        connection = self._take_idle(state.connections)
        if connection is None:
            connection = await self._acquire(state, min(self._loop.time() + timeouts.connect_s, deadline_s))
        sent_s = self._loop.time()
        connection.total_deadline_s = deadline_s
        connection.timeouts, connection.phase = timeouts, "first_token_s"
        connection.deadline_s = min(sent_s + timeouts.first_token_s, deadline_s)
        self._start_sweep()
        try:
            connection.send_request(head, request.body)
            while not connection.has_headers:
                await connection.wait()
        except BaseException as error:
            connection.close()
            if isinstance(error, errors.UpstreamDisconnected):
                self._note_disconnect(state.connections, connection, error, sent_s)
            raise
        if connection.status == _PROXY_AUTHENTICATION and (proxy := state.connections.address.forwarding_proxy):
            connection.close()
            raise named(state.deployment.name, refusal(proxy, connection.status, str(state.connections.address)))
        return HttpResponse(connection, self._loop, timeouts.idle_s, state.secrets, self._answers)

    def _note_disconnect(
        self, pool: AddressPool, connection: Connection, error: errors.UpstreamDisconnected, sent_s: float
    ) -> None:
        """Find out whether a pooled connection was dead already. Then the other idle ones probably are dead, too."""
        if (
            connection.is_reused
            and not connection.has_received
            and self._loop.time() - sent_s < _STALE_WITHIN_S
            and not self._is_closed
        ):
            error.is_stale_connection = True
            pool.drop_idle()

    async def _signed_head(
        self, state: DeploymentState, request: UpstreamRequest, credential: int, deadline_s: float
    ) -> bytes:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await state.signed_head(request, credential)
        except TimeoutError:
            raise errors.UpstreamTimeout(
                f"{state.deployment.name}: No access token could be obtained within {state.timeouts.total_s:g} s "
                "(timeouts.total_s)."
            ) from None

    async def _post_form(self, provider: str, url: str, body: bytes) -> tuple[int, bytes]:
        """Post a form to the token endpoint of a provider, through the same proxy as its requests."""
        parts = urlsplit(url)
        own = self._provider_addresses.get(provider, _NO_ADDRESS)
        endpoint = Deployment(
            name=f"token endpoint {parts.hostname}",
            provider="",
            vendor="",
            upstream_model="",
            address=UpstreamAddress(
                base_url=f"{parts.scheme}://{parts.netloc}", ca_file=own.ca_file, proxies=own.proxies
            ),
            auth="none",
            timeouts=_TOKEN_TIMEOUTS,
        )
        state = DeploymentState(endpoint, self._address_pool(endpoint), self._credentials.rotation_of(endpoint))
        request = UpstreamRequest(path=parts.path or "/", body=body, headers=_FORM_HEADERS)
        response = await self._send_with(state, request, 0, self._loop.time() + _TOKEN_TIMEOUTS.total_s)
        return response.status, await response.read(_MAX_TOKEN_BYTES)

    def credential_states(self, deployments: Iterable[Deployment]) -> tuple[CredentialState, ...]:
        """Return the state of the credentials of these deployments. Contains no part of a credential."""
        return self._credentials.states(deployments, self._loop.time())

    def requests_in_flight(self, uds: str) -> int:
        """Return how many requests use a unix socket, including those that wait for a connection to it."""
        pools = [pool for address, pool in self._address_pools.items() if address.uds == uds]
        return sum(pool.open_count - len(pool.idle) + len(pool.waiting) for pool in pools)

    def count_connections(self) -> tuple[int, int, int]:
        """Return how many connections are open or being opened, how many of them are idle, and how many requests wait
        for one.
        """
        pools = self._address_pools.values()
        return (
            sum([pool.open_count for pool in pools]),
            sum([len(pool.idle) for pool in pools]),
            sum([len(pool.waiting) for pool in pools]),
        )

    def apply(self, deployments: Iterable[Deployment]) -> None:
        """Adopt a reloaded configuration. `deployments` are those that are configured now.

        Connections and credentials are keyed by value, so they survive if the new deployments have the same addresses
        and credentials. Connection limits, certificates and keys are read again. The state of other deployments is
        dropped, and created again if a request in flight needs it.
        """
        configured = frozenset(deployments)
        self._configured_limits = _limits(configured)
        self._states = {each: state for each, state in self._states.items() if each in configured}
        self._provider_addresses = {each.provider: each.address for each in configured}
        self._credentials.forget_unused(self._loop.time())
        in_use = {state.connections.address for state in self._states.values()}
        self._address_pools = {
            address: pool for address, pool in self._address_pools.items() if pool.open_count or address in in_use
        }
        for address, pool in self._address_pools.items():
            pool.set_limit(self._configured_limits.get(address, pool.max_connections))
        self._tls_contexts.forget()

    async def close(self) -> None:
        """Close every connection. Requests in flight fail."""
        self._is_closed = True
        await self._credentials.stop()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for pool in self._address_pools.values():
            while pool.waiting:
                waiter = pool.waiting.popleft()
                if not waiter.done():
                    waiter.set_exception(_gateway_stopping())
        for connection in list(self._connections):
            connection.close()
        for _ in range(_CLOSE_ITERATIONS):
            if not self._connections:
                break
            await asyncio.sleep(0)

    def _create_state(self, deployment: Deployment) -> DeploymentState:
        pool, rotation = self._address_pool(deployment), self._credentials.rotation_of(deployment)
        self._provider_addresses[deployment.provider] = deployment.address
        if len(self._states) >= _MAX_DEPLOYMENTS:  # clients create wildcard deployments; states are rebuilt on demand
            del self._states[next(iter(self._states))]
        state = self._states[deployment] = DeploymentState(deployment, pool, rotation)
        return state

    def _address_pool(self, deployment: Deployment) -> AddressPool:
        address = address_of(deployment)
        limit = self._configured_limits.get(address, deployment.max_connections)
        pool = self._address_pools.get(address)
        if pool is None:
            pool = self._address_pools[address] = AddressPool(address, limit)
        elif pool.max_connections < limit:
            pool.set_limit(limit)
        return pool

    # -- getting a connection -----------------------------------------------------------------------------------

    def _take_idle(self, pool: AddressPool) -> Connection | None:
        idle = pool.idle
        while idle:
            connection = idle.pop()
            idle_s = self._loop.time() - connection.idle_since_s
            if connection.is_closed:
                continue
            if idle_s > connection.max_idle_s or (idle_s > _STALE_CHECK_AFTER_S and connection.is_stale()):
                connection.close()
                continue
            return connection
        return None

    async def _acquire(self, state: DeploymentState, deadline_s: float) -> Connection:
        """Open a connection, or wait for a free one at the limit."""
        pool = state.connections
        name = state.deployment.name
        has_slot = False
        try:
            async with asyncio.timeout_at(deadline_s):
                if not pool.acquire() and (connection := await self._wait_for_connection(pool, name)) is not None:
                    return connection
                has_slot = True
                return await self._open(pool)
        except TimeoutError:
            raise _connect_timeout(state, has_slot=has_slot) from None
        except errors.ProxyFailed as error:
            raise named(name, error) from None
        except (OSError, UnicodeError) as error:
            raise connect_failed(name, pool.address, error) from None

    async def _wait_for_connection(self, pool: AddressPool, name: str) -> Connection | None:
        """Return a connection that became free, or None when a slot to open one has been reserved."""
        if len(pool.waiting) >= _MAX_WAITING_PER_ADDRESS:
            raise errors.Overloaded(
                f"{name}: {len(pool.waiting)} requests already wait for one of its {pool.max_connections} connections.",
                hint="Try again later, or raise the provider's max_connections.",
            )
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        pool.waiting.append(waiter)
        while True:
            try:
                connection = await waiter
            except asyncio.CancelledError:
                if waiter.cancelled():
                    with contextlib.suppress(ValueError):
                        pool.waiting.remove(waiter)
                elif waiter.exception() is None:
                    self._give_back(pool, waiter.result())
                raise
            if connection is None or not connection.is_closed:
                return connection
            # It was closed after it had been assigned and before this coroutine ran: wait again, at the front.
            if pool.acquire():
                return None
            waiter = self._loop.create_future()
            pool.waiting.appendleft(waiter)

    def _give_back(self, pool: AddressPool, connection: Connection | None) -> None:
        """Return what was assigned to a waiter that has been canceled."""
        if connection is None:
            pool.release()
        elif not connection.is_closed:
            self._on_idle(connection)

    async def _open(self, pool: AddressPool) -> Connection:
        """Open a connection in a reserved slot."""
        connection = Connection(self._loop, self._on_idle, self._on_closed)
        self._connections[connection] = pool
        address = pool.address
        try:
            self._check_running()
            if address.uds is not None:
                await self._loop.create_unix_connection(lambda: connection, address.uds)
            elif address.proxy is not None:
                await self._connect_through(address.proxy, address, connection)
            else:
                context = self.tls_context(address) if address.is_tls else None
                transport, _ = await self._loop.create_connection(
                    lambda: connection, address.host, address.port, ssl=context
                )
                sock = transport.get_extra_info("socket")
                if sock is not None:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._check_running()
        except BaseException:
            connection.close()
            self._on_closed(connection)
            raise
        return connection

    def _check_running(self) -> None:
        if self._is_closed:
            raise _gateway_stopping()

    async def _connect_through(self, proxy: Proxy, address: Address, connection: Connection) -> None:
        if address.is_tls:
            await open_tunnel(self._loop, connection, self.tunnel_route(proxy, address))
        else:
            await connect_to_proxy(self._loop, connection, proxy, self._proxy_tls(proxy, address))

    def tunnel_route(self, proxy: Proxy, address: Address) -> TunnelRoute:
        """Return the tunnel to an address. Raises `UpstreamConnectFailed` if a certificate cannot be used."""
        return TunnelRoute(
            proxy=proxy,
            host=address.host,
            port=address.port,
            proxy_tls=self._proxy_tls(proxy, address),
            tls=self.tls_context(address) if address.is_tls else None,
        )

    def _proxy_tls(self, proxy: Proxy, address: Address) -> ssl.SSLContext | None:
        """The client certificate is for the upstream only."""
        return self._tls_contexts.get(address.ca_file) if proxy.is_tls else None

    def tls_context(self, address: Address) -> ssl.SSLContext:
        """Return the TLS context for an address. Raises `UpstreamConnectFailed` if a certificate cannot be used."""
        return self._tls_contexts.get(address.ca_file, address.client_certificate)

    # -- connection callbacks -----------------------------------------------------------------------------------

    def _on_idle(self, connection: Connection) -> None:
        pool = self._connections.get(connection)
        if pool is None or self._is_closed:
            connection.close()
            return
        if pool.waiting and pool.assign(connection):
            return
        connection.idle_since_s = self._loop.time()
        pool.idle.append(connection)

    def _on_closed(self, connection: Connection) -> None:
        pool = self._connections.pop(connection, None)
        if pool is None:
            return
        if connection in pool.idle:
            pool.idle.remove(connection)
        pool.release()

    # -- deadlines ----------------------------------------------------------------------------------------------

    def _start_sweep(self) -> None:
        if self._sweep_timer is None and not self._is_closed:
            self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweep_timer = None
        now_s = self._loop.time()
        is_any_open = False
        for connection, pool in list(self._connections.items()):
            is_any_open = True
            if connection.is_busy:
                if now_s >= connection.deadline_s or connection.floor is not None:
                    connection.check(now_s)
            elif now_s - connection.idle_since_s > connection.max_idle_s and connection in pool.idle:
                connection.close()
        if is_any_open:
            self._start_sweep()


def _limits(deployments: Iterable[Deployment]) -> dict[Address, int]:
    """Return the connection limit of each address: the highest one where deployments share an address."""
    limits: dict[Address, int] = {}
    for deployment in deployments:
        if not has_address(deployment.address):
            continue
        address = address_of(deployment)
        limits[address] = max(limits.get(address, 0), deployment.max_connections)
    return limits


def connect_failed(name: str, address: Address, error: OSError | UnicodeError) -> errors.UpstreamConnectFailed:
    """Return the error for a connection that could not be opened. UnicodeError: the host name is not valid."""
    if isinstance(error, ssl.SSLError):
        hint = "If the upstream uses a private certificate authority, set the provider's ca_file."
        if "ALERT" in (error.reason or ""):  # the upstream refused the gateway, not the other way round
            hint = CLIENT_CERTIFICATE_HINT
        return errors.UpstreamConnectFailed(
            f"{name}: The TLS handshake with {address.route} failed: {error}.", hint=hint
        )
    if isinstance(error, ConnectionResetError) and address.is_tls:
        message = f"{name}: The connection to {address.route} was closed during the TLS handshake."
        return errors.UpstreamConnectFailed(message, hint=CLIENT_CERTIFICATE_HINT)
    return errors.UpstreamConnectFailed(
        f"{name}: Cannot connect to {address.route}: {os_reason(error)}.",
        hint="Check that the upstream is running and that the provider's base_url is correct.",
    )


def named(name: str, error: errors.ProxyFailed) -> errors.ProxyFailed:
    """Return the error with the name of the deployment in its message."""
    return error.__class__(f"{name}: {error.message}", hint=error.hint)


def _connect_timeout(state: DeploymentState, *, has_slot: bool) -> errors.UpstreamTimeout:
    name, pool, limit = state.deployment.name, state.connections, f"{state.timeouts.connect_s:g} s (timeouts.connect_s)"
    if has_slot:
        message, hint = f"{name}: No connection to {pool.address.route} could be opened within {limit}.", ""
    else:
        message = f"{name}: None of the {pool.max_connections} connections became free within {limit}."
        hint = "Raise the provider's max_connections or timeouts.connect_s."
    return errors.UpstreamTimeout(message, code=errors.CONNECT_TIMEOUT, hint=hint)


def _gateway_stopping() -> errors.UpstreamConnectFailed:
    return errors.UpstreamConnectFailed("The gateway is stopping.")
