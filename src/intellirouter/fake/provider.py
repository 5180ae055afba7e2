"""An upstream inside the process that serves the fake models `fake/*`, without sockets."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from intellirouter.core import (
    SYSTEM_CLOCK,
    Clock,
    Deployment,
    OffLoop,
    Phase,
    ThroughputFloor,
    Timeouts,
    TokenSource,
    UpstreamRequest,
    errors,
    is_large,
    timeout_error,
)
from intellirouter.fake.faults import ModelFault, apply_model_fault
from intellirouter.fake.models import FLAKY_FAULT, ModelBehavior, find_behavior
from intellirouter.fake.openai.answer import answer
from intellirouter.fake.openai.replies import model_not_found
from intellirouter.fake.script import Cut, Hang, Script, Step, Wait, script_of

MAX_COUNTED: Final = 4096
"""Deployments whose calls are counted for `flaky`. When there are more, all counts restart."""


class FakeProvider:
    """Implements `core.ports.Upstream` for the models of `FAKE_MODELS`.

    `deployment.upstream_model` selects the model; the model in the body is only repeated in the answer. Any path that
    ends in `/chat/completions` or `/embeddings` is served. The timeouts of the deployment apply as they do in the real
    transport.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, off_loop: OffLoop | None = None) -> None:
        """`off_loop` reads large requests. The default has threads of its own."""
        self._clock = clock
        self._off_loop = off_loop or OffLoop()
        self._calls: Counter[str] = Counter()

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> "FakeResponse":
        """Return the response as soon as its headers are available.

        Raises `UpstreamTimeout` after `first_token_s` (or `total_s`), and `UpstreamDisconnected` if the model closes
        the connection before the headers.
        """
        script = await self._script(deployment, request)
        response = FakeResponse(deployment, script)
        await response.wait_for_head()
        return response

    async def _script(self, deployment: Deployment, request: UpstreamRequest) -> Script:
        name = deployment.upstream_model
        behavior = find_behavior(name)
        if behavior is None:
            return script_of(model_not_found(name).reply())
        path = request.path.partition("?")[0]
        operation = next((known for known in ("/chat/completions", "/embeddings") if path.endswith(known)), path)
        body, created_s = request.body, self._clock.epoch_us() // 1_000_000
        if is_large(body):
            _, reply = await self._off_loop.run(
                len(body), lambda: answer(operation, body, created_s=created_s, behavior=behavior)
            )
        else:
            _, reply = answer(operation, body, created_s=created_s, behavior=behavior)
        return apply_model_fault(reply, self._fault(deployment.name, behavior))

    def _fault(self, deployment: str, behavior: ModelBehavior) -> ModelFault | None:
        if behavior.is_flaky:
            if deployment not in self._calls and len(self._calls) >= MAX_COUNTED:
                self._calls.clear()
            self._calls[deployment] += 1
            return FLAKY_FAULT if self._calls[deployment] % 2 == 0 else None
        return behavior.fault


class FakeResponse:
    """Implements `core.ports.UpstreamResponse` by playing a script; each step is one chunk."""

    def __init__(self, deployment: Deployment, script: Script) -> None:
        self._deployment = deployment.name
        self._timeouts: Timeouts = deployment.timeouts
        self._script = script
        self._headers = list(script.headers)
        self._steps = iter(script.steps)
        self._has_begun = False
        self._floor: ThroughputFloor | None = None
        self._is_over = False
        self._started_s = asyncio.get_running_loop().time()

    @property
    def status(self) -> int:
        return self._script.status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return self._headers

    @property
    def credential_fingerprint(self) -> str:
        return ""

    async def wait_for_head(self) -> None:
        for step in self._script.before_head:
            await self._play(step)

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:  # noqa: ARG002
        """Return the whole body. Raises `UpstreamMalformed` above the limit, and whatever `next_chunk` raises."""
        self.content_began()
        chunks: list[bytes] = []
        size_bytes = 0
        while chunk := await self.next_chunk():
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                self.abort()
                raise errors.UpstreamMalformed(f"{self._deployment}: the response is larger than {limit_bytes} bytes.")
            chunks.append(chunk)
        return b"".join(chunks)

    def content_began(self, source: TokenSource | None = None) -> None:
        self._has_begun = True
        if source is not None and self._timeouts.min_tokens_per_s:
            self._floor = ThroughputFloor(self._timeouts, source, asyncio.get_running_loop().time())

    def spare_credential(self) -> None:
        """Do nothing: there are no credentials."""

    def refuse_credential(self, status: int, retry_after_s: float | None = None) -> None:
        """Do nothing: there are no credentials."""

    async def next_chunk(self) -> bytes:
        """Return the next chunk, or `b""` at the end. Raises `UpstreamTimeout`, `UpstreamDisconnected`."""
        # Like reading from a socket, this lets other tasks run and can be canceled.
        await asyncio.sleep(0)
        while not self._is_over:
            step = next(self._steps, None)
            if step is None:
                self._is_over = True
            elif not isinstance(step, bytes):
                await self._play(step)
            elif step:
                return step
        return b""

    def release(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._is_over = True

    async def _play(self, step: Step) -> None:
        """Wait as long as the step requires, at most until the deadline of the current phase."""
        match step:
            case Cut():
                self._is_over = True
                raise errors.UpstreamDisconnected(
                    f"{self._deployment}: the connection was closed before the response was complete."
                )
            case Wait(seconds):
                await self._wait(seconds)
            case Hang():
                await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        limits = self._timeouts
        now_s, floor = loop.time(), self._floor
        deadlines: dict[Phase, float] = {"total_s": self._started_s + limits.total_s}
        if self._has_begun:
            deadlines["idle_s"] = now_s + limits.idle_s
        else:
            deadlines["first_token_s"] = self._started_s + limits.first_token_s
        if floor is not None:
            floor.is_missed(now_s, is_waiting=False)
            deadlines["min_tokens_per_s"] = now_s + floor.allowance_s
        phase = min(deadlines, key=lambda each: deadlines[each])
        try:
            async with asyncio.timeout_at(deadlines[phase]):
                if seconds is None:
                    await asyncio.Event().wait()
                else:
                    await asyncio.sleep(seconds)
        except TimeoutError:
            self._is_over = True
            raise timeout_error(self._deployment, phase, limits) from None
        if floor is not None and floor.is_missed(loop.time(), is_waiting=True):
            self._is_over = True
            raise timeout_error(self._deployment, "min_tokens_per_s", limits)
