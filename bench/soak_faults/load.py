"""The load: what clients do, in a fixed mix and at a fixed rate, and what they have seen."""

import asyncio
import contextlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect

from bench.availability.judge import SHAPES, ask
from bench.soak_faults.configuration import CACHED, HEDGED, LINES, PLAIN, SLOW, UPSTREAM_MODEL

TIMEOUT_S: Final = 30.0
MAX_AT_ONCE: Final = 256
"""What exceeds it is not sent, and counted as skipped."""
BATCH_LINES: Final = 20
SOCKET_REQUESTS: Final = 6
SAME_TEXT: Final = 80
"""Of so many requests in a row, those to the cached model have the same text."""
_WORDS: Final = " ".join(f"word{number}" for number in range(40))


class Load:
    """Sends requests to one gateway. `counts` has the number of each outcome by kind of load."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.skipped = 0
        self._numbers = itertools.count()
        self._rng = random.Random(7)
        self._tasks: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=MAX_AT_ONCE, max_keepalive_connections=64)
        self.client = httpx.AsyncClient(base_url=self.base_url, timeout=TIMEOUT_S, limits=limits)

    async def run(self, rate_per_s: float, until_s: float) -> None:
        """Send requests at this rate until then, in the time of the event loop."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        mix = itertools.cycle(MIX)
        while loop.time() < until_s:
            self._start(next(mix))
            next_s += 1 / rate_per_s
            await asyncio.sleep(max(0.0, next_s - loop.time()))

    async def finish(self) -> None:
        """Wait until all requests have ended, and close the connections."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await self.client.aclose()

    def _start(self, kind: str) -> None:
        if len(self._tasks) >= MAX_AT_ONCE:
            self.skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._do(kind, next(self._numbers)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, kind: str, number: int) -> None:
        try:
            outcome = await KINDS[kind](self, number)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            outcome = type(error).__name__
        self.counts[kind][outcome] += 1

    # --- the kinds of load

    async def plain(self, number: int) -> str:
        shape = SHAPES[number % len(SHAPES)]
        return (await ask(self.client, PLAIN, shape, number, UPSTREAM_MODEL)).outcome

    async def hedged(self, number: int) -> str:
        shape = SHAPES[number % len(SHAPES)]
        return (await ask(self.client, HEDGED, shape, number, UPSTREAM_MODEL)).outcome

    async def cached(self, number: int) -> str:
        """Send the same request twice at once: the second one joins the first, or both get a stored answer."""
        text = number // SAME_TEXT
        shape = SHAPES[number % len(SHAPES)]
        verdicts = await asyncio.gather(
            *(ask(self.client, CACHED, shape, text, UPSTREAM_MODEL) for _ in range(2)), return_exceptions=True
        )
        for each in verdicts:
            if isinstance(each, BaseException):
                raise each
            if each.outcome != "ok":
                return each.outcome
        return "ok"

    async def leave_early(self, number: int) -> str:
        """Send a request, and disconnect before the answer can be complete."""
        is_stream = number % 2 == 0
        body = json.dumps(
            {"model": SLOW, "stream": is_stream, "messages": [{"role": "user", "content": f"{number} {_WORDS}"}]}
        )
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write((head + body).encode())
                if is_stream:
                    status = await reader.readline()
                    return "left" if status.startswith(b"HTTP/1.1 200") else "error"
                await asyncio.sleep(self._rng.random() * 0.1)
                return "left"
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def socket(self, number: int) -> str:
        """Send several requests over one WebSocket, and cancel one of them."""
        url = f"ws://127.0.0.1:{self.port}/v1/ws"
        last = {"chat.completed", "chat.canceled", "error"}
        outcome = "ok"
        async with asyncio.timeout(TIMEOUT_S), connect(url, proxy=None) as link:
            for each in range(SOCKET_REQUESTS):
                model = SLOW if each == 0 else PLAIN
                messages = [{"role": "user", "content": f"{number} {_WORDS}"}]
                request = {"model": model, "messages": messages, "stream": each % 2 == 0}
                await link.send(json.dumps({"type": "chat.create", "id": str(each), "request": request}))
            await link.send(json.dumps({"type": "cancel", "id": "0"}))
            ended = 0
            while ended < SOCKET_REQUESTS:
                frame = json.loads(await link.recv())
                ended += frame["type"] in last
                if frame["type"] == "error":
                    outcome = "error"
        return outcome

    async def batch(self, number: int) -> str:
        """Run a batch, and delete its files."""
        lines = "\n".join(
            json.dumps(
                {
                    "custom_id": str(each),
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": {"model": LINES, "messages": [{"role": "user", "content": f"{number} {each}"}]},
                }
            )
            for each in range(BATCH_LINES)
        )
        form = {"file": ("lines.jsonl", lines)}
        file = (await self.client.post("/v1/files", files=form, data={"purpose": "batch"})).json()
        request = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = (await self.client.post("/v1/batches", json=request)).json()
        async with asyncio.timeout(TIMEOUT_S):
            while batch["status"] in {"validating", "in_progress", "finalizing"}:
                await asyncio.sleep(0.2)
                batch = (await self.client.get(f"/v1/batches/{batch['id']}")).json()
        for name in ("input_file_id", "output_file_id", "error_file_id"):
            if batch.get(name):
                await self.client.delete(f"/v1/files/{batch[name]}")
        return _batch_outcome(batch)


def _batch_outcome(batch: dict[str, Any]) -> str:
    counts = batch["request_counts"]
    if batch["status"] != "completed" or counts["completed"] + counts["failed"] != BATCH_LINES:
        return "wrong"
    return "ok" if counts["completed"] == BATCH_LINES else "error"


KINDS: Final[dict[str, Callable[[Load, int], Awaitable[str]]]] = {
    "plain": Load.plain,
    "hedged": Load.hedged,
    "cached": Load.cached,
    "leave early": Load.leave_early,
    "socket": Load.socket,
    "batch": Load.batch,
}


def _one_round() -> tuple[str, ...]:
    kinds = ["plain", "plain", "cached", "plain", "hedged", "plain", "leave early", "plain"] * 50
    for at in range(10, len(kinds), 80):
        kinds[at] = "socket"
    return ("batch", *kinds)


MIX: Final = _one_round()
"""The kinds of load in the order in which they are sent, again and again."""
