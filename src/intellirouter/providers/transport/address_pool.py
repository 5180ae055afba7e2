"""The connections to one address, and the line of those who wait for one."""

import asyncio
from collections import deque

from intellirouter.providers.transport.address import Address
from intellirouter.providers.transport.connection import Connection


class Peers:
    """The connections to one address, and who waits for one."""

    __slots__ = ("address", "idle", "limit", "open_count", "waiting")

    def __init__(self, address: Address, limit: int) -> None:
        self.address = address
        self.limit = limit
        self.idle: list[Connection] = []  # the most recently used last: it is taken first
        self.open_count = 0
        """Connections that are open or being opened, and places granted to callers who will open one."""
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()
        """First come, first served: what becomes free goes to a waiter by name, so a newcomer cannot overtake."""

    def hand_over(self, connection: Connection) -> bool:
        """Give a free connection to whoever has waited longest; false when nobody waits."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def take_place(self) -> bool:
        """Count a connection that the caller is going to open; false when there are too many."""
        if self.open_count >= self.limit:
            return False
        self.open_count += 1
        return True

    def free_place(self) -> None:
        self.open_count -= 1
        self.grant()

    def grant(self) -> None:
        """Let waiters open connections as far as the limit allows."""
        while self.waiting and self.open_count < self.limit:
            waiter = self.waiting.popleft()
            if not waiter.done():
                self.open_count += 1
                waiter.set_result(None)
