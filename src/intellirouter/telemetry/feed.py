"""The live feed: finished exchanges, offered to whoever listens. A slow listener loses entries, never slows us."""

import asyncio
from collections import deque
from typing import Final

from intellirouter.core import ExchangeRecord

_QUEUE_LENGTH: Final = 256
_RECENT: Final = 200
_MAX_LISTENERS: Final = 64


class LiveFeed:
    """Keeps the most recent records and passes new ones on."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[ExchangeRecord]] = set()
        self.recent: deque[ExchangeRecord] = deque(maxlen=_RECENT)

    def publish(self, record: ExchangeRecord) -> None:
        self.recent.append(record)
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(record)

    def find(self, request_id: str) -> ExchangeRecord | None:
        """Return a record that may not have reached the database yet."""
        return next((each for each in reversed(self.recent) if each.request_id == request_id), None)

    def listen(self) -> asyncio.Queue[ExchangeRecord] | None:
        """Open a bounded queue of new records, or None when too many listen already. Hand it back to `leave`."""
        if len(self._listeners) >= _MAX_LISTENERS:
            return None
        queue: asyncio.Queue[ExchangeRecord] = asyncio.Queue(_QUEUE_LENGTH)
        self._listeners.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[ExchangeRecord]) -> None:
        self._listeners.discard(queue)
