"""The live feed of finished exchanges. A slow subscriber loses entries and never delays the gateway."""

import asyncio
from typing import Final

from intellirouter.core import ExchangeRecord

_QUEUE_LENGTH: Final = 256
_MAX_SUBSCRIBERS: Final = 64


class LiveFeed:
    """Passes new records to subscribers. It stores none."""

    def __init__(self) -> None:
        self._subscribers: set[asyncio.Queue[ExchangeRecord | None]] = set()

    def publish(self, record: ExchangeRecord) -> None:
        for queue in self._subscribers:
            if not queue.full():
                queue.put_nowait(record)

    def close(self) -> None:
        """Send the end of the feed to all subscribers, so that a stopping gateway does not wait for them."""
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def subscribe(self) -> asyncio.Queue[ExchangeRecord | None] | None:
        """Return a bounded queue of new records, or None if there are too many subscribers. See `unsubscribe`.

        A None in the queue is the end of the feed.
        """
        if len(self._subscribers) >= _MAX_SUBSCRIBERS:
            return None
        queue: asyncio.Queue[ExchangeRecord | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._subscribers.add(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[ExchangeRecord | None]) -> None:
        self._subscribers.discard(queue)
