"""Sends one request several times in parallel, to get several choices. `dialects` merges the responses."""

import asyncio
from collections.abc import Sequence

from intellirouter.core import Deployment, TaskOwner, TokenSource, Upstream, UpstreamRequest, UpstreamResponse
from intellirouter.dialects import frame


async def send_copies(upstream: Upstream, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
    """Send all copies. Returns the merged response, or the first one with an error status. Raises the first error."""
    owner = TaskOwner("copies")
    sends = [
        owner.start(upstream.send(deployment, request), f"copy {copy}", is_awaited=True)
        for copy in range(request.copies)
    ]
    try:
        await asyncio.wait(sends)
    except asyncio.CancelledError:
        for each in sends:
            each.cancel()
        await asyncio.wait(sends)
        _abort([each.result() for each in sends if not each.cancelled() and each.exception() is None])
        raise
    responses = [each.result() for each in sends if each.exception() is None]
    failed = next((error for each in sends if (error := each.exception()) is not None), None)
    if failed is not None:
        _abort(responses)
        raise failed
    refusal: UpstreamResponse | None = next((each for each in responses if each.status != 200), None)
    if refusal is not None:
        others = [each for each in responses if each is not refusal]
        _abort(others)
        return RefusedResponse(refusal, others)
    return MergedResponse(responses, owner)


def _abort(responses: Sequence[UpstreamResponse]) -> None:
    for each in responses:
        each.abort()


class RefusedResponse:
    """Implements `core.UpstreamResponse` for the first error response. The others probably have the same cause."""

    def __init__(self, first: UpstreamResponse, others: Sequence[UpstreamResponse]) -> None:
        self.status, self.headers = first.status, first.headers
        self.credential_fingerprint = first.credential_fingerprint
        self.read, self.next_chunk = first.read, first.next_chunk
        self.content_began, self.release, self.abort = first.content_began, first.release, first.abort
        self._responses = (first, *others)

    def spare_credential(self) -> None:
        for response in self._responses:
            response.spare_credential()

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        self._responses[0].refuse_credential(status, retry_after_s)


class MergedResponse:
    """Implements `core.UpstreamResponse` for several responses. Frames tell their bytes apart."""

    def __init__(self, responses: Sequence[UpstreamResponse], owner: TaskOwner) -> None:
        self._responses = responses
        self._owner = owner
        self._open = set(range(len(responses)))
        self._reads: dict[asyncio.Task[bytes], int] = {}
        self.status = 200
        self.headers = responses[0].headers
        self.credential_fingerprint = responses[0].credential_fingerprint

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:
        parts: list[bytes] = []
        left = limit_bytes
        for copy, response in enumerate(self._responses):  # all of them arrive in parallel, into their own buffers
            body = await response.read(left, tenant)
            left -= len(body)
            parts.append(frame(copy, body))
        return b"".join(parts)

    def content_began(self, source: TokenSource | None = None) -> None:
        for response in self._responses:
            response.content_began(source)

    def spare_credential(self) -> None:
        """Do nothing: only successful responses are merged."""

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        """Do nothing: it is not known which of the responses has the error."""

    async def next_chunk(self) -> bytes:
        reading = set(self._reads.values())
        for copy in self._open - reading:
            read = self._owner.start(self._responses[copy].next_chunk(), f"copy {copy}", is_awaited=True)
            self._reads[read] = copy
        if not self._reads:
            return b""
        done, _ = await asyncio.wait(self._reads, return_when=asyncio.FIRST_COMPLETED)
        parts: list[bytes] = []
        for task in done:
            copy = self._reads.pop(task)
            chunk = task.result()
            if not chunk:
                self._open.discard(copy)
            parts.append(frame(copy, chunk))
        return b"".join(parts)

    def release(self) -> None:
        self._stop_reading()
        for response in self._responses:
            response.release()

    def abort(self) -> None:
        self._stop_reading()
        _abort(self._responses)

    def _stop_reading(self) -> None:
        for task in self._reads:
            task.cancel()
        self._reads.clear()
