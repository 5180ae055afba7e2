"""Keeps a connection to a Redis server up. Requests never wait for it: without a connection, there is nothing to ask.

    down ──connect, log in, PING──▶ up ──closed, or no reply for long──▶ down, and again after a delay

The delay doubles from attempt to attempt. A connection that was up for a while starts it again.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from intellirouter.cache.redis.connection import ConnectionLost, Overdue, RedisConnection
from intellirouter.cache.redis.resp import Reply, ServerError, encode_command
from intellirouter.config import RedisSpec
from intellirouter.core import TaskOwner, mask_credentials

logger = logging.getLogger(__name__)

_FIRST_DELAY_S: Final = 0.25
_MAX_DELAY_S: Final = 15.0
_STEADY_S: Final = 30.0
"""A connection that was up for this long is a success, however it has ended."""
_MAX_DETAIL_CHARS: Final = 200
_CLIENT_NAME: Final = b"intellirouter"

State = Literal["starting", "ok", "degraded"]


class RedisHealth(Struct, frozen=True):
    """The state of the server, as the gateway sees it."""

    state: State
    detail: str


class RedisLink:
    """Use it on one event loop only. `start` it, and `stop` it."""

    def __init__(
        self,
        spec: RedisSpec,
        tls_context: Callable[[str | None], ssl.SSLContext],
        rng: random.Random,
        *,
        max_value_bytes: int,
    ) -> None:
        """`tls_context` takes an additional file of certificate authorities. It may raise an error with a message."""
        self._spec = spec
        self._tls_context = tls_context
        self._rng = rng
        self._max_value_bytes = max_value_bytes
        self._owner = TaskOwner("redis")
        self._connection: RedisConnection | None = None
        self._problem: str | None = None
        """Why there is no connection; None before the first attempt, and while there is one."""
        self.has_tried = asyncio.Event()
        """Set after the first attempt to connect."""

    def start(self) -> None:
        self._owner.start(self._run(), "connection")

    async def stop(self) -> None:
        """Close the connection. What has been sent already is written if that is possible at once."""
        if self._connection is not None:
            self._connection.close()
        await self._owner.stop()
        self._connection = None

    @property
    def connection(self) -> RedisConnection | None:
        """The connection, if a command can be sent now."""
        connection = self._connection
        return connection if connection is not None and connection.can_send else None

    def health(self) -> RedisHealth:
        if self._connection is not None:
            if self._connection.is_overdue:
                return RedisHealth("degraded", f"{self._spec.shown_address} replies too slowly.")
            return RedisHealth("ok", f"Connected to {self._spec.shown_address}.")
        if self._problem is None:
            return RedisHealth("starting", f"Connecting to {self._spec.shown_address}.")
        return RedisHealth("degraded", f"{self._spec.shown_address} cannot be used. {self._problem}")

    async def _run(self) -> None:
        """Connect, again and again, until the task is canceled."""
        delay_s, is_known = _FIRST_DELAY_S, False
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._connection = connection = await self._connect()
            except (OSError, ConnectionLost, Overdue, ServerError, TimeoutError, ssl.SSLError, ValueError) as error:
                self._problem = self._describe(error)
            else:
                since_s, self._problem = loop.time(), None
                if is_known:
                    logger.info("The response cache uses %s again.", self._spec.shown_address)
                is_known = False
                self.has_tried.set()
                reason = await self._until_closed(connection)
                self._problem = self.masked(reason)
                if loop.time() - since_s >= _STEADY_S:
                    delay_s = _FIRST_DELAY_S
            if not is_known:
                is_known = True
                logger.warning(
                    "The response cache does not use %s at present. Requests are sent to models. %s",
                    self._spec.shown_address,
                    self._problem,
                )
            self.has_tried.set()
            await asyncio.sleep(delay_s * (0.5 + self._rng.random()))
            delay_s = min(delay_s * 2, _MAX_DELAY_S)

    async def _until_closed(self, connection: RedisConnection) -> str:
        try:
            return await asyncio.shield(connection.ended)
        finally:
            self._connection = None
            connection.close()

    async def _connect(self) -> RedisConnection:
        """Return a connection on which the server accepts commands."""
        spec, loop = self._spec, asyncio.get_running_loop()
        connection = RedisConnection(spec.connect_timeout_s, self._max_value_bytes)
        try:
            async with asyncio.timeout(spec.connect_timeout_s):
                if spec.uds is not None:
                    await loop.create_unix_connection(lambda: connection, spec.uds)
                elif spec.is_tls:
                    context = await asyncio.to_thread(self._tls_context, spec.ca_file)
                    await loop.create_connection(
                        lambda: connection, spec.host, spec.port, ssl=context, server_hostname=spec.host
                    )
                else:
                    await loop.create_connection(lambda: connection, spec.host, spec.port)
                await self._log_in(connection)
        except BaseException:
            connection.abort("The gateway closed the connection.")
            raise
        connection.timeout_s = spec.timeout_s
        return connection

    async def _log_in(self, connection: RedisConnection) -> None:
        spec = self._spec
        if spec.password is not None:
            user = () if spec.username is None else (spec.username.encode(),)
            await self._ask(connection, b"AUTH", *user, spec.password.reveal().encode())
        if spec.database:
            await self._ask(connection, b"SELECT", b"%d" % spec.database)
        connection.tell(encode_command(b"CLIENT", b"SETNAME", _CLIENT_NAME), _ignore)
        await self._ask(connection, b"PING")

    async def _ask(self, connection: RedisConnection, *parts: bytes) -> Reply:
        return await connection.ask(encode_command(*parts))

    def _describe(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return f"The server did not accept a connection within {self._spec.connect_timeout_s:g} s."
        text = str(error) or type(error).__name__
        if isinstance(error, ServerError):
            text = f"The server has answered: {text}"
        return self.masked(text)

    def masked(self, text: str) -> str:
        """Return a text of the server or of the system as a sentence without secrets."""
        password = self._spec.password
        masked = mask_credentials(text, () if password is None else (password,))
        shown = masked[:_MAX_DETAIL_CHARS].rstrip()
        return shown if shown.endswith(".") else f"{shown}."


def _ignore(_: Reply | Exception) -> None:
    """Ignore the reply: a server that does not permit names of connections can be used nevertheless."""
