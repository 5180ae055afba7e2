"""Only answers that are known to be complete are stored: for clients and upstreams of every dialect."""

import asyncio
import json
from typing import Any

import pytest

from intellirouter.core import RequestContext, errors
from intellirouter.pipeline import Exchange
from tests.support.cached_world import Cached, turns
from tests.support.pipeline import Reply, Response, Source

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
CLIENTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama_chat")
UPSTREAMS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama")
PAIRS = pytest.mark.parametrize(("client", "upstream"), [(one, other) for one in CLIENTS for other in UPSTREAMS])
STREAMED = pytest.mark.parametrize("is_stream", [False, True], ids=["complete", "stream"])
COMPLETE = {
    "openai_chat": "stop",
    "openai_responses": "completed",
    "anthropic_messages": "end_turn",
    "gemini": "STOP",
    "ollama": "stop",
}
"""How each upstream names the end of a complete answer."""
INCOMPLETE = [
    ("openai_chat", None),
    ("openai_chat", "length"),
    ("openai_chat", "content_filter"),
    ("openai_chat", "a_new_reason"),
    ("openai_responses", "incomplete"),
    ("openai_responses", "in_progress"),
    ("openai_responses", "queued"),
    ("anthropic_messages", None),
    ("anthropic_messages", "max_tokens"),
    ("anthropic_messages", "a_new_reason"),
    ("gemini", "FINISH_REASON_UNSPECIFIED"),
    ("gemini", "MAX_TOKENS"),
    ("gemini", "A_NEW_REASON"),
    ("ollama", None),
    ("ollama", "length"),
    ("ollama", "load"),
]


def request_of(client: str, *, is_stream: bool) -> tuple[bytes, dict[str, Any]]:
    """Return a request's body, and the members of its source."""
    turns_ = [{"role": "user", "content": "hello"}]
    members: dict[str, Any] = {"endpoint": client}
    match client:
        case "openai_responses":
            body: dict[str, Any] = {"model": "m", "input": "hello", "store": False, "stream": is_stream}
        case "anthropic_messages":
            body = {"model": "m", "max_tokens": 64, "messages": turns_, "stream": is_stream}
        case "gemini":
            body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
            query = "alt=sse" if is_stream else ""
            members["context"] = RequestContext(model="m", is_stream=is_stream, query=query)
        case _:
            body = {"model": "m", "messages": turns_, "stream": is_stream}
    return json.dumps(body).encode(), members


def answer_of(upstream: str, finish: str | None, *, is_stream: bool, text: str = "hi") -> bytes:
    make = _streams if is_stream else _wholes
    return make(upstream, finish, text)


def _wholes(upstream: str, finish: str | None, text: str) -> bytes:
    match upstream:
        case "openai_chat":
            message = {"role": "assistant", "content": text}
            body: dict[str, Any] = {"choices": [{"message": message, "finish_reason": finish}], "usage": USAGE}
        case "openai_responses":
            body = _response(finish, text)
        case "anthropic_messages":
            body = {**_message(), "content": [{"type": "text", "text": text}], "stop_reason": finish}
        case "gemini":
            body = _candidate(finish, text)
        case _:
            body = {"model": "up", "message": {"role": "assistant", "content": text}, "done": True}
            body |= {} if finish is None else {"done_reason": finish}
    return json.dumps(body).encode()


def _streams(upstream: str, finish: str | None, text: str) -> bytes:
    match upstream:
        case "openai_chat":
            chunks: list[Any] = [
                {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
                {"choices": [], "usage": USAGE},
            ]
            return _sse(chunks) + b"data: [DONE]\n\n"
        case "openai_responses":
            item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "status": "in_progress"}
            part = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
            done = _response(finish, text)
            kind = "incomplete" if finish == "incomplete" else "completed"
            return _sse(
                [
                    {"type": "response.created", "response": {**done, "status": "in_progress", "output": []}},
                    {"type": "response.output_item.added", "output_index": 0, "item": item},
                    {"type": "response.content_part.added", **part, "part": {"type": "output_text", "text": ""}},
                    {"type": "response.output_text.delta", **part, "delta": text},
                    {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},
                    {"type": f"response.{kind}", "response": done},
                ]
            )
        case "anthropic_messages":
            return _sse(
                [
                    {"type": "message_start", "message": {**_message(), "content": []}},
                    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
                    {"type": "content_block_stop", "index": 0},
                    {"type": "message_delta", "delta": {"stop_reason": finish}, "usage": {"output_tokens": 2}},
                    {"type": "message_stop"},
                ]
            )
        case "gemini":
            return _sse([_candidate(None, text), _candidate(finish, "")])
        case _:
            lines: list[Any] = [
                {"model": "up", "message": {"role": "assistant", "content": text}, "done": False},
                {"model": "up", "message": {"role": "assistant", "content": ""}, "done": True}
                | ({} if finish is None else {"done_reason": finish}),
            ]
            return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _response(status: str | None, text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": content, "status": "completed"}
    body = {"id": "resp_1", "object": "response", "created_at": 1, "model": "up", "status": status, "output": [item]}
    details = {"reason": "max_output_tokens"} if status == "incomplete" else None
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    return {**body, "incomplete_details": details, "usage": usage}


def _message() -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "stop_reason": None, "usage": usage}


def _candidate(finish: str | None, text: str) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}] if text else []}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "up"}


def _sse(events: list[dict[str, Any]]) -> bytes:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        lines.append(f"{name}data: {json.dumps(event)}\n\n".encode())
    return b"".join(lines)


def world_of(upstream: str, *answers: Response) -> Cached:
    return Cached(*answers, dialects=(upstream,))


async def ask(world: Cached, client: str, *, is_stream: bool) -> tuple[Exchange, Reply]:
    body, members = request_of(client, is_stream=is_stream)
    return await world.ask(body, **members)


@PAIRS
@STREAMED
async def test_a_complete_answer_is_stored(client: str, upstream: str, is_stream: bool) -> None:
    world = world_of(upstream, Response(answer_of(upstream, COMPLETE[upstream], is_stream=is_stream)))
    for _ in range(2):
        await ask(world, client, is_stream=is_stream)
    assert world.statuses == ["miss", "hit"]
    assert {record.status for record in world.journal.records} == {200}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("upstream", "finish"), INCOMPLETE)
@STREAMED
async def test_an_answer_that_may_be_incomplete_is_not_stored(
    client: str, upstream: str, finish: str | None, is_stream: bool
) -> None:
    answer = answer_of(upstream, finish, is_stream=is_stream)
    world = world_of(upstream, *[Response(answer) for _ in range(2)])
    for _ in range(2):
        await ask(world, client, is_stream=is_stream)
    assert world.statuses == ["miss", "miss"]
    assert world.store.entry_count == 0


@PAIRS
@STREAMED
async def test_an_empty_answer_is_not_stored(client: str, upstream: str, is_stream: bool) -> None:
    answer = answer_of(upstream, COMPLETE[upstream], is_stream=is_stream, text="")
    world = world_of(upstream, *[Response(answer) for _ in range(2)])
    for _ in range(2):
        await ask(world, client, is_stream=is_stream)
    assert world.statuses == ["miss", "miss"]
    assert world.store.entry_count == 0


@pytest.mark.parametrize("has_left", [False, True], ids=["leader_stays", "leader_has_left"])
@PAIRS
@STREAMED
async def test_followers_of_an_answer_that_was_cut_off_get_no_complete_one(
    client: str, upstream: str, is_stream: bool, has_left: bool
) -> None:
    whole = answer_of(upstream, COMPLETE[upstream], is_stream=is_stream)
    cut = whole[: whole.index(b"hi") + (60 if is_stream and upstream != "ollama" else 20 if is_stream else 3)]
    head, gate = cut[:10], asyncio.Event()
    world = world_of(upstream, *[_Gated(head, cut[10:], gate=gate) for _ in range(2)])
    body, members = request_of(client, is_stream=is_stream)
    source, led = Source(body, **members), Reply()
    leader = asyncio.create_task(world.entry.serve(source, led))
    await turns()
    follower = asyncio.create_task(world.ask(body, **members))
    await turns()
    assert world.calls == 1
    if has_left:
        assert source.on_disconnect is not None
        source.on_disconnect()
    gate.set()
    exchange, reply = await follower
    await leader
    assert isinstance(exchange.error, errors.UpstreamError), exchange.error
    record = exchange.record
    assert record is not None
    assert record.error_code == exchange.error.code
    if is_stream and not has_left and reply.error is None:
        assert reply.body == led.body
    assert world.store.entry_count == 0


class _Gated(Response):
    """Sends its second chunk after the gate has opened."""

    def __init__(self, *chunks: bytes, gate: asyncio.Event) -> None:
        super().__init__(*chunks)
        self._opens = gate
        self._sent = 0

    async def next_chunk(self) -> bytes:
        self._sent += 1
        if self._sent == 2:
            await self._opens.wait()
        return await super().next_chunk()
