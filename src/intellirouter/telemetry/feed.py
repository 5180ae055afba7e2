"""The live feed: finished exchanges, offered to whoever listens. A slow listener loses entries, never slows us."""

import asyncio
from typing import Final

from intellirouter.core import ExchangeRecord

_QUEUE_LENGTH: Final = 256
_MAX_LISTENERS: Final = 64


class LiveFeed:
    """Passes new records on; keeps none itself."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[ExchangeRecord | None]] = set()

    def publish(self, record: ExchangeRecord) -> None:
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(record)

    def close(self) -> None:
        """Tell every listener that nothing more comes: the gateway is stopping and must not wait for them."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def listen(self) -> asyncio.Queue[ExchangeRecord | None] | None:
        """Open a bounded queue of new records, or None when too many listen already. Hand it back to `leave`.

        A None in the queue is the end.
        """
        if len(self._listeners) >= _MAX_LISTENERS:
            return None
        queue: asyncio.Queue[ExchangeRecord | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._listeners.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[ExchangeRecord | None]) -> None:
        self._listeners.discard(queue)
