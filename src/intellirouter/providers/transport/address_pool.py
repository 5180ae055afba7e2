"""The connections to one address, and the queue of requests that wait for one."""

import asyncio
from collections import deque

from intellirouter.providers.transport.address import Address
from intellirouter.providers.transport.connection import Connection


class AddressPool:
    """Bounds the connections to one address and assigns free ones in the order of arrival."""

    __slots__ = ("address", "idle", "max_connections", "open_count", "waiting")

    def __init__(self, address: Address, max_connections: int) -> None:
        self.address = address
        self.max_connections = max_connections
        self.idle: list[Connection] = []
        """The most recently used connection is last and is taken first."""
        self.open_count = 0
        """Connections that are open or being opened, including slots granted to waiters that have yet to open one."""
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()
        """First in, first out. A free connection is assigned to a waiter directly, so a newcomer cannot overtake."""

    def acquire(self) -> bool:
        """Reserve a slot for a connection that the caller is going to open. Returns False at the limit."""
        if self.open_count >= self.max_connections:
            return False
        self.open_count += 1
        return True

    def release(self) -> None:
        """Free the slot of a connection that was closed or never opened."""
        self.open_count -= 1
        self.grant()

    def assign(self, connection: Connection) -> bool:
        """Give a free connection to the request that has waited longest. Returns False when none is waiting."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def drop_idle(self) -> None:
        """Close all idle connections, because one of them has turned out to be dead."""
        idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()

    def set_limit(self, max_connections: int) -> None:
        """Change the limit. Connections above a lowered limit stay open until they are closed."""
        self.max_connections = max_connections
        self.grant()

    def grant(self) -> None:
        """Grant slots to waiting requests as far as the limit allows."""
        while self.waiting and self.open_count < self.max_connections:
            waiter = self.waiting.popleft()
            if not waiter.done():
                self.open_count += 1
                waiter.set_result(None)
