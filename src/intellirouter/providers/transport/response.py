"""An upstream's response on a pooled connection. Implements `core.UpstreamResponse`."""

import asyncio
from collections.abc import Callable

from intellirouter.core import (
    FREE_ANSWER_BYTES,
    AnswerBudget,
    ArrivingAnswer,
    Secret,
    TokenSource,
    errors,
    mask_credentials_in_bytes,
)
from intellirouter.providers.credential_rotation import Credential
from intellirouter.providers.transport.connection import Connection


class HttpResponse:
    """A response whose headers have arrived. The connection returns to the pool at the end of the body."""

    __slots__ = (
        "_answers",
        "_arriving",
        "_connection",
        "_first_token_deadline_s",
        "_idle_s",
        "_loop",
        "_raw_headers",
        "_secrets",
        "credential",
        "refusals_before",
        "status",
        "undo_refusal",
    )

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        idle_s: float,
        secrets: tuple[Secret, ...] = (),
        answers: AnswerBudget | None = None,
    ) -> None:
        """`secrets` are masked in error responses, which sometimes repeat them. `answers` counts large bodies."""
        self._answers = answers
        self._arriving: ArrivingAnswer | None = None
        self._connection: Connection | None = connection
        self._loop = loop
        self._idle_s = idle_s
        self._first_token_deadline_s: float | None = connection.deadline_s
        self.status: int = connection.status
        self._raw_headers = connection.raw_headers
        self._secrets = secrets
        self.undo_refusal: Callable[[], None] | None = None
        """Ends the cooldown of the credential that this response has started; None if it has started none."""
        self.credential: Credential | None = None
        """The credential of the request, until `refuse_credential` has been called."""
        self.refusals_before = 0
        """The consecutive refusals of the credential that this response has ended."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in lower case."""
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._raw_headers]

    @property
    def credential_fingerprint(self) -> str:
        return "" if self.credential is None else self.credential.fingerprint

    def content_began(self, source: TokenSource | None = None) -> None:
        self._first_token_deadline_s = None
        if source is not None and self._connection is not None:
            self._connection.require_throughput(source)

    def spare_credential(self) -> None:
        if self.undo_refusal is not None:
            self.undo_refusal()
            self.undo_refusal = None

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        credential = self.credential
        if credential is None:
            return
        if self.undo_refusal is not None:
            if retry_after_s is None or status != self.status:
                return
            self.spare_credential()
        elif self.refusals_before and not credential.consecutive_refusals:
            credential.consecutive_refusals = self.refusals_before
        credential.start_cooldown(status, retry_after_s, self._loop.time())
        self.credential = None

    def _arm(self, connection: Connection) -> None:
        """Set the deadline for the next bytes."""
        if self._first_token_deadline_s is not None:
            connection.deadline_s = self._first_token_deadline_s
        else:
            connection.phase = "idle_s"
            connection.deadline_s = min(self._loop.time() + self._idle_s, connection.total_deadline_s)

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:
        connection = self._connection
        if connection is not None and connection.is_complete:  # like most short responses
            body = connection.take_body()
            if len(body) > FREE_ANSWER_BYTES:
                body = await self._read_rest(limit_bytes, tenant, body)
            else:
                self.release()
                if len(body) > limit_bytes:
                    raise _too_large(limit_bytes)
        else:
            body = await self._read_rest(limit_bytes, tenant)
        return body if self.status < 400 else mask_credentials_in_bytes(body, self._secrets)

    async def _read_rest(self, limit_bytes: int, tenant: str, chunk: bytes = b"") -> bytes:
        """Return the whole body, of which `chunk` has been taken. Waits while too much is buffered for clients."""
        self.content_began()
        parts: list[bytes] = []
        size = 0
        while chunk or (chunk := await self.next_chunk()):
            size += len(chunk)
            if size > limit_bytes:
                self.abort()
                raise _too_large(limit_bytes)
            parts.append(chunk)
            chunk = b""
            if size > FREE_ANSWER_BYTES and self._answers is not None:
                if self._arriving is None:
                    self._arriving = ArrivingAnswer(self._answers, tenant)
                await self._arriving.grow_to(size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def next_chunk(self) -> bytes:
        connection = self._connection
        if connection is None:
            return b""
        while True:
            data = connection.take_body()
            if data:
                connection.deadline_s = connection.total_deadline_s  # a slow client must not time the upstream out
                return data
            if connection.is_complete:
                self._give_back()
                return b""
            self._arm(connection)
            try:
                await connection.wait()
            except errors.UpstreamError:
                if not connection.buffered_bytes():
                    self.abort()
                    raise

    def release(self) -> None:
        self._give_back()
        if self._arriving is not None:
            self._end_arriving(self._arriving)

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.discard_rest(self._loop.time())

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if connection.is_complete:
                connection.discard_rest(self._loop.time())
            else:
                connection.close()
        if self._arriving is not None:
            self._end_arriving(self._arriving)

    def _end_arriving(self, answer: ArrivingAnswer) -> None:
        answer.end()
        self._arriving = None


def _too_large(limit_bytes: int) -> errors.UpstreamAnswerTooLarge:
    return errors.UpstreamAnswerTooLarge(
        f"The upstream's response is larger than {limit_bytes} bytes.",
        hint="Raise server.max_answer_bytes if the model's answers can be this large.",
    )
