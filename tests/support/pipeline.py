"""A pipeline in memory: scripted upstreams, sources, and replies that record events. No process, socket or disk."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import structs

from intellirouter.catalog import HealthBoard, ResolvedModel
from intellirouter.config.runtime import BackoffSpec, KeySpec, Runtime, ServerSpec, StoreSpec
from intellirouter.core import (
    DEFAULT_BREAKER,
    EMPTY_CONTEXT,
    AnswerBudget,
    ConcurrencyPolicy,
    Current,
    Deployment,
    ExchangeRecord,
    Fetcher,
    FrameSocket,
    QueuePolicy,
    ReasoningMemory,
    RequestContext,
    SlotPolicy,
    SocketRefusal,
    SocketUpstream,
    Timeouts,
    UpstreamAddress,
    UpstreamRequest,
    errors,
)
from intellirouter.governance import Identity, KeyRing
from intellirouter.pipeline import Attempts, Entry, Exchange, Generation, InFlight, Parts, Spine, Stages
from intellirouter.resilience import Backoff
from intellirouter.routing import STRATEGIES, Router
from intellirouter.testing import FakeClock
from tests.support.dialects.standard import ENDPOINTS, STANDARD_DIALECTS

ANSWER = (
    b'{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
EVENTS = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":"h"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"i"}}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
)
BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
STREAM_BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}'


class Response:
    """Implements `core.UpstreamResponse`: returns chunks, and may raise an error after them."""

    def __init__(
        self,
        *chunks: bytes,
        status: int = 200,
        headers: Sequence[tuple[str, str]] = (),
        error: BaseException | None = None,
        gate: asyncio.Event | None = None,
    ) -> None:
        self.status = status
        self.headers = list(headers)
        self.outcome = "open"
        self.spares_credential = False
        self.credential_fingerprint = ""
        self.refused_with: int | None = None
        self.tenant = ""
        self.refused_for_s: float | None = None
        self._chunks = list(chunks)
        self._error = error
        self._gate = gate

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:
        self.tenant = tenant
        body = b""
        while chunk := await self.next_chunk():
            body += chunk
        if len(body) > limit_bytes:
            raise errors.UpstreamMalformed("too large")
        return body

    def content_began(self, source: object = None) -> None:
        """Do nothing: there are no timeouts."""

    def spare_credential(self) -> None:
        self.spares_credential = True

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        self.refused_with, self.refused_for_s = status, retry_after_s

    async def next_chunk(self) -> bytes:
        await asyncio.sleep(0)
        if self._chunks:
            return self._chunks.pop(0)
        if self._gate is not None:
            await self._gate.wait()
        if self._error is not None:
            raise self._error
        return b""

    def release(self) -> None:
        self.outcome = "released" if self.outcome == "open" else self.outcome

    def abort(self) -> None:
        self.outcome = "aborted" if self.outcome == "open" else self.outcome


Answer = Response | BaseException


class Upstream:
    """Implements `core.Upstream`: each send returns the next answer of its deployment."""

    def __init__(self, **answers: Sequence[Answer] | Answer) -> None:
        self.answers = {
            name: [each] if isinstance(each, Response | BaseException) else list(each) for name, each in answers.items()
        }
        self.sent: list[tuple[str, bytes]] = []
        self.gate: asyncio.Event | None = None

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> Response:
        self.sent.append((deployment.name, request.body))
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers[deployment.name].pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def order(self) -> str:
        """The deployments in the order in which they were called."""
        return " ".join(name for name, _ in self.sent)


class Reply:
    """Implements `pipeline.Reply` and records events: `begin`, `write`, `end`, `complete:STATUS`, `fail:CODE`."""

    def __init__(self, events: list[str] | None = None, *, takes_refusals: bool = True) -> None:
        self.takes_refusals = takes_refusals
        self.events = [] if events is None else events
        self.has_begun = self.has_content = False
        self.error: errors.GatewayError | None = None
        self.body = b""
        self.request_id = ""
        self.is_awaited_stream = False
        self.content_type = b""
        self.error_event: bytes | None = None

    def ping(self) -> None:
        """Begin the stream early, as after a long silence."""
        self.has_begun = True

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        self.request_id, self.content_type = exchange.request_id, content_type
        self.has_begun = self.has_content = True
        self.body = body
        self.events.append(f"complete:{status}")

    def await_stream(self, exchange: Exchange) -> None:
        self.is_awaited_stream = True

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:
        self.request_id, self.content_type = exchange.request_id, stream_type
        self.has_begun = self.has_content = True
        self.events.append("begin")

    async def write(self, data: bytes) -> None:
        self.body += data
        self.events.append("write")

    async def end(self, data: bytes) -> None:
        self.body += data
        self.events.append("end")

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        self.error, self.error_event = error, exchange.error_event
        self.events.append(f"fail:{error.code}")


class Source:
    """Implements `pipeline.Source`."""

    def __init__(self, body: bytes | BaseException = BODY, endpoint: str = "openai_chat", **members: Any) -> None:
        self.path = "/test"
        self.peer: tuple[str, int] | None = members.get("peer", ("192.0.2.7", 40000))
        self.endpoint = ENDPOINTS[endpoint]
        self.context: RequestContext = members.get("context", EMPTY_CONTEXT)
        self.request_id: str | None = members.get("request_id")
        self.is_task_owner: bool = members.get("is_task_owner", True)
        self.on_disconnect: Callable[[], None] | None = None
        self.key: bytes | None = members.get("key")
        self.body = body
        self.gate: asyncio.Event | None = members.get("gate")

    def identify(self, generation: Generation) -> Identity:
        return generation.identify(self.key)

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        self.on_disconnect = on_disconnect

    async def read(self, limits: ServerSpec) -> bytes:
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.body, BaseException):
            raise self.body
        if len(self.body) > limits.max_body_bytes:
            raise errors.BodyTooLarge("too large")
        return self.body


class Journal:
    """Implements `core.Journal`."""

    def __init__(self, events: list[str] | None = None) -> None:
        self.records: list[ExchangeRecord] = []
        self._events = events

    def append(self, record: ExchangeRecord) -> None:
        self.records.append(record)
        if self._events is not None:
            self._events.append("settle")


class NoSockets:
    """Implements `core.SocketUpstream` for tests without sessions."""

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        raise errors.UnsupportedFeature(f"{deployment.name} does not support sessions at {request.path}.")


class NoCredentials:
    """Implements `core.CredentialRotator`: there is never another credential."""

    def can_rotate(self, deployment: Deployment, error: errors.GatewayError, status: int | None) -> bool:
        del deployment, error, status
        return False


class NamedModels:
    """The part of the catalog that the spine uses."""

    wildcard_providers: tuple[str, ...] = ()

    def __init__(self, resolved: ResolvedModel) -> None:
        self.use(resolved)

    def use(self, resolved: ResolvedModel) -> None:
        self._resolved = resolved
        self.resolved_models = {resolved.model: resolved}

    def resolve(self, model: str) -> ResolvedModel | None:
        return self._resolved if model == self._resolved.model else None

    def offered_by_wildcards(self, _model: str) -> Iterator[str]:
        return iter(())


def deployment(name: str, **members: Any) -> Deployment:
    return Deployment(
        **{
            "name": name,
            "provider": "p",
            "vendor": "openai",
            "upstream_model": "up",
            "address": UpstreamAddress(base_url="http://upstream.test/v1"),
            "timeouts": Timeouts(),
            **members,
        }
    )


def resolved(
    pool: str, fallbacks: str = "", *, retries: int = 0, timeout_s: float = 600.0, **members: Any
) -> ResolvedModel:
    """Return the model `m` with deployments of these names."""
    by_name = {name: deployment(name, **members) for name in (*pool.split(), *fallbacks.split())}
    return ResolvedModel(
        model="m",
        kind="model",
        strategy="priority",
        pool=tuple(by_name[name] for name in pool.split()),
        fallbacks=tuple(by_name[name] for name in fallbacks.split()),
        retries=retries,
        request_timeout_s=timeout_s,
        by_name=by_name,
    )


class World:
    """A spine with its entry, and everything that tests inspect."""

    def __init__(
        self,
        model: ResolvedModel | None = None,
        *,
        stages: Stages | None = None,
        server: ServerSpec | None = None,
        keys: tuple[KeySpec, ...] = (),
        fetcher: Fetcher | None = None,
        sockets: SocketUpstream | None = None,
        **answers: Sequence[Answer] | Answer,
    ) -> None:
        self.events: list[str] = []
        self.upstream = Upstream(**answers)
        self.clock = FakeClock()
        self.board = HealthBoard()
        self.journal = Journal(self.events)
        self.emitted: list[tuple[ExchangeRecord, str]] = []
        self.reply = Reply(self.events)
        self.current: Current[Generation] = Current()
        self.answers = AnswerBudget()
        self.in_flight = InFlight(self.answers)
        self.entry = Entry(self.current, self.in_flight)
        self.runtime = Runtime(
            server=server or ServerSpec(),
            auth_required=bool(keys),
            store=StoreSpec(url="sqlite://", spool_dir="none"),
            providers={},
            deployments={},
            models={},
            keys=keys,
            backoff=BackoffSpec(),
        )
        rng = random.Random(7)
        self.attempts = Attempts(board=self.board, backoff=Backoff(0.0, 0.0), clock=self.clock, rng=rng)
        self._parts = parts = Parts(
            upstream=self.upstream,
            journal=self.journal,
            attempts=self.attempts,
            router=Router({row.name: row for row in STRATEGIES}, self.board, rng),
            emit=lambda record, name: self.emitted.append((record, name)),
            clock=self.clock,
            fetcher=fetcher,
            sockets=sockets,
            answers=self.answers,
        )
        self.board_names = tuple((model or resolved("a")).by_name)
        catalog: Any = NamedModels(model or resolved("a"))
        self.spine = Spine(self.runtime, catalog, parts, stages or Stages())
        self.current.swap(
            Generation(
                number=1,
                runtime=self.runtime,
                catalog=catalog,
                dialects=STANDARD_DIALECTS,
                keys=KeyRing(keys, is_required=bool(keys)),
                spine=self.spine,
                clock=self.clock,
            )
        )

    def remember_in(self, memory_of: Callable[[str], ReasoningMemory]) -> None:
        """Use these memories for reasoning."""
        generation = self.current.value
        parts = structs.replace(self._parts, memory_of=memory_of)
        self.current.swap(structs.replace(generation, spine=Spine(self.runtime, generation.catalog, parts)))

    def limit(self, *, max_waiting: int = 100, max_wait_s: float = 10.0, **limits: int | ConcurrencyPolicy) -> None:
        """Limit the requests in flight of these deployments, and no others, from now on."""
        queue = QueuePolicy(max=max_waiting, max_wait_s=max_wait_s)
        policies = {
            name: SlotPolicy(
                concurrency=each if isinstance(each, ConcurrencyPolicy) else ConcurrencyPolicy(max=each), queue=queue
            )
            for name, each in limits.items()
        }
        self.board.apply(dict.fromkeys((*self.board_names, *limits), DEFAULT_BREAKER))
        self.board.apply_limits(policies, None, self.clock.monotonic_s())

    def use(self, stages: Stages) -> None:
        """Use these stages from now on."""
        generation = self.current.value
        self.spine = Spine(self.runtime, generation.catalog, self._parts, stages)
        self.current.swap(structs.replace(generation, spine=self.spine))

    async def serve(self, body: bytes | BaseException = BODY, **members: Any) -> Exchange:
        """Serve one request through the entry."""
        async with asyncio.timeout(5):
            return await self.entry.serve(Source(body, **members), self.reply)

    @property
    def record(self) -> ExchangeRecord:
        [record] = self.journal.records
        return record

    @property
    def outcomes(self) -> list[str]:
        return [each.outcome for each in self.record.attempts]
