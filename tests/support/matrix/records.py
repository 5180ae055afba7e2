"""The records of finished requests, as the gateway publishes them."""

import json
import threading
from types import TracebackType
from typing import Any, Self

from tests.support.gateway.raw_http import RawConnection

TIMEOUT_S = 10.0


class Records:
    """Follows `/api/v1/requests/tail` in a thread, because a request for each record would cost more than the test."""

    def __init__(self, port: int) -> None:
        self._link = RawConnection(port, timeout_s=None)
        self._by_id: dict[str, dict[str, Any]] = {}
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name="records")

    def __enter__(self) -> Self:
        self._link.send(b"GET /api/v1/requests/tail HTTP/1.1\r\nhost: gateway\r\n\r\n")
        status, _ = self._link.head()
        assert status == 200
        assert self._link.chunk().startswith(b": connected")
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._link.shut_down()
        self._thread.join(TIMEOUT_S)
        self._link.close()
        assert not self._thread.is_alive()

    def of(self, request_id: str) -> dict[str, Any]:
        """Return the record of a request once. Raises `TimeoutError` if it does not arrive."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: request_id in self._by_id, TIMEOUT_S):
                raise TimeoutError(f"There is no record of {request_id}.")
            return self._by_id.pop(request_id)

    def _follow(self) -> None:
        try:
            while chunk := self._link.chunk():
                for line in chunk.splitlines():
                    if line.startswith(b"data: "):
                        record = json.loads(line[6:])
                        with self._arrived:
                            self._by_id[record["request_id"]] = record
                            self._arrived.notify_all()
        except ConnectionError:
            pass  # the connection has been shut down
