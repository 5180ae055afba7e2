"""The live feed of finished exchanges. A slow subscriber loses entries and never delays the gateway."""

import asyncio
from typing import Final

from intellirouter.core import ExchangeRecord, has_fair_share

_QUEUE_LENGTH: Final = 256
_MAX_SUBSCRIBERS: Final = 64


class LiveFeed:
    """Passes new records to subscribers. It stores none."""

    def __init__(self) -> None:
        self._subscribers: dict[asyncio.Queue[ExchangeRecord | None], str] = {}
        """The tenant of each queue."""

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

    def subscribe(self, tenant: str) -> asyncio.Queue[ExchangeRecord | None] | None:
        """Return a bounded queue of new records, or None if there are too many subscribers. See `unsubscribe`.

        A tenant may only have its fair share of the subscribers. A None in the queue is the end of the feed.
        """
        held = sum(each == tenant for each in self._subscribers.values())
        if not has_fair_share(held, len(self._subscribers), _MAX_SUBSCRIBERS):
            return None
        queue: asyncio.Queue[ExchangeRecord | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._subscribers[queue] = tenant
        return queue

    def unsubscribe(self, queue: asyncio.Queue[ExchangeRecord | None]) -> None:
        self._subscribers.pop(queue, None)
