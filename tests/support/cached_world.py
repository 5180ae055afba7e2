"""A pipeline in memory whose cache is on, for tests of hits, misses, joins and stale answers."""

import asyncio
from collections.abc import Sequence

from msgspec import structs

from intellirouter.cache import CacheDirectives, Flights, MemoryAnswerStore, SharedCache, SimilarAnswers
from intellirouter.config import CacheMode, CacheSpec, KeySpec
from intellirouter.core import OffLoop, Price
from intellirouter.pipeline import CacheStage, Exchange, Stages
from tests.support.dialects.standard import STANDARD_DIALECTS
from tests.support.pipeline import BODY, EVENTS, Answer, Reply, Response, Source, World, resolved

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"
TTL = {"chat": 3600.0, "embeddings": 86_400.0}
TOOLS = (
    b'{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"x"}]}'
)
CALL = (
    b'{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",'
    b'"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
SENT = b"".join(EVENTS[:3]) + b"data: [DONE]\n\n"
"""The stream that the client gets: it did not ask for the usage."""
PRICE = Price(input=1_000_000, output=1_000_000, version="test")


class Cached(World):
    """A world whose cache is on."""

    def __init__(
        self,
        *answers: Answer,
        settings: CacheSpec | None = None,
        keys: tuple[KeySpec, ...] = (),
        timeout_s: float = 600.0,
        similar: SimilarAnswers | None = None,
        mode: CacheMode | None = None,
        dialects: tuple[str, ...] = ("openai_chat",),
    ) -> None:
        """`similar` is used for a model with the mode `semantic`. `dialects`: those of the deployment."""
        chosen = settings or CacheSpec(default_mode="exact", is_used=True, ttl_s=TTL)
        self.store = MemoryAnswerStore(chosen.max_bytes, max(chosen.stale_if_error_s, chosen.kept_stale_s))
        self.flights = Flights()
        self.similar = similar or SimilarAnswers()
        self.flights.apply(
            max_bytes=chosen.max_bytes, max_entry_bytes=chosen.max_entry_bytes, window_s=chosen.join_window_s
        )
        model = structs.replace(resolved("a", price=PRICE, timeout_s=timeout_s, dialects=dialects), cache=mode)
        super().__init__(model, keys=keys, a=answers)
        self.runtime = structs.replace(self.runtime, cache=chosen)
        self.shared = SharedCache(self.store, self.flights, self.similar)
        stage = CacheStage(
            chosen,
            self.shared,
            self.clock,
            OffLoop(),
            names_requested_model=False,
            codecs=STANDARD_DIALECTS.upstreams,
        )
        self.use(Stages(sources=(stage,), answer=(stage,), rescues=(stage,)))

    async def ask(
        self,
        body: bytes = BODY,
        directives: CacheDirectives | None = None,
        reply: Reply | None = None,
        **members: object,
    ) -> tuple[Exchange, Reply]:
        """Serve one request with a reply of its own."""
        to = Reply() if reply is None else reply

        def note(exchange: Exchange) -> None:
            exchange.cache_directives = directives

        async with asyncio.timeout(5):
            return await self.entry.serve(Source(body, **members), to, note), to

    def start(self, body: bytes = BODY, reply: Reply | None = None) -> "asyncio.Task[tuple[Exchange, Reply]]":
        return asyncio.create_task(self.ask(body, reply=reply))

    @property
    def calls(self) -> int:
        return len(self.upstream.sent)

    @property
    def statuses(self) -> list[str | None]:
        return [record.cache for record in self.journal.records]


def sent_of(answer: Sequence[bytes]) -> bytes:
    return SENT if answer == EVENTS else b"".join(answer)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def spec(**members: object) -> CacheSpec:
    return CacheSpec(default_mode="exact", is_used=True, ttl_s=TTL, **members)  # type: ignore[arg-type]


class Halting(Response):
    """Sends its last chunk only after the gate has opened."""

    def __init__(self, *chunks: bytes, gate: asyncio.Event) -> None:
        super().__init__(*chunks)
        self._opened = gate
        self._left = len(chunks)

    async def next_chunk(self) -> bytes:
        self._left -= 1
        if self._left == 0:
            await self._opened.wait()
        return await super().next_chunk()


class SlowReply(Reply):
    """A client that reads nothing until the gate opens."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__()
        self._gate = gate

    async def write(self, data: bytes) -> None:
        await super().write(data)
        await self._gate.wait()
