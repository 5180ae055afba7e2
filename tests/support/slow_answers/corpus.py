"""Answers with very many of something, in the wire format of every upstream dialect.

Most are described as events of the intermediate form, and written by the client codec of the dialect. What no codec of
the gateway would write, such as tool calls that are all open at once, is written here.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from intellirouter.core import NO_USAGE
from intellirouter.dialects.bedrock.event_stream import encode_message
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Event,
    PartEnded,
    ReasoningDelta,
    Response,
    Stop,
    StreamStarted,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    collect,
)
from tests.support.dialects.pairs import encode_answer, encode_stream

Document = dict[str, Any]
_encode = msgspec.json.encode
_WORD_CHARS: Final = 11
_WORD_BYTES: Final = 12


def _word(number: int) -> str:
    """Return a word that is different for each number. Answers that repeat themselves are rejected."""
    return f"wört{number:06} "


def _call(number: int, part: int) -> list[Event]:
    return [
        ToolCallStarted(id=f"call_{number}", name="f", part=part),
        ArgumentsDelta(text='{"a":1}', part=part),
        PartEnded(part=part),
    ]


def _texts(n: int) -> Iterator[Event]:
    for number in range(n):
        yield TextDelta(text=_word(number))


def _calls(n: int) -> Iterator[Event]:
    for number in range(n):
        yield from _call(number, number)


def _calls_between_texts(n: int) -> Iterator[Event]:
    for number in range(n):
        yield TextDelta(text=_word(number), part=2 * number)
        yield PartEnded(part=2 * number)
        yield from _call(number, 2 * number + 1)


def _arguments(n: int) -> Iterator[Event]:
    yield ToolCallStarted(id="call_0", name="f")
    yield ArgumentsDelta(text="{")
    for number in range(n):
        yield ArgumentsDelta(text=f'"k{number}":[{number}],')
    yield ArgumentsDelta(text='"end":0}')
    yield PartEnded()


def _reasoning_between_texts(n: int) -> Iterator[Event]:
    for number in range(n):
        yield ReasoningDelta(text=_word(number), part=2 * number)
        yield PartEnded(part=2 * number)
        yield TextDelta(text=_word(number), part=2 * number + 1)
        yield PartEnded(part=2 * number + 1)


def _citations(n: int) -> Iterator[Event]:
    yield TextDelta(text="".join(map(_word, range(n))))
    for number in range(n):
        start = number * _WORD_CHARS
        yield CitationDelta(
            citation=Citation(kind="url", url=f"https://a.example/{number}", title="A", start=start, end=start + 10)
        )


def _logprobs(n: int) -> Iterator[Event]:
    tops = [{"token": f"t{rank}", "logprob": -1.5 * rank, "bytes": [116, 48]} for rank in range(3)]
    for number in range(n):
        token = {"token": _word(number), "logprob": -0.5, "bytes": [97], "top_logprobs": tops}
        yield TextDelta(text=_word(number), logprobs=[token])


_CONTENT: Final[dict[str, Callable[[int], Iterator[Event]]]] = {
    "texts": _texts,
    "calls": _calls,
    "calls between texts": _calls_between_texts,
    "arguments": _arguments,
    "reasoning between texts": _reasoning_between_texts,
    "citations": _citations,
    "logprobs": _logprobs,
}


def events_of(family: str, n: int) -> list[Event]:
    content = [*_CONTENT[family](n)]
    has_calls = any(isinstance(event, ToolCallStarted) for event in content)
    stop = Stop(reason="tool_calls" if has_calls else "stop")
    usage = UsageUpdate(usage=NO_USAGE)
    return [StreamStarted(id="id-1", model="m"), *content, ChoiceFinished(stop=stop), usage]


# Streams that only a peculiar upstream sends


def _sse(*documents: Document) -> bytes:
    return b"".join(b"data: " + _encode(document) + b"\n\n" for document in documents)


def _named_sse(*documents: Document) -> bytes:
    return b"".join(b"event: %b\n%b" % (document["type"].encode(), _sse(document)) for document in documents)


def _chat_chunk(delta: Document, finish: str | None = None) -> Document:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _chat_fragment(index: int, arguments: str, name: str = "") -> Document:
    call: Document = {"index": index, "function": {"arguments": arguments}}
    if name:
        call["function"]["name"] = name
    return _chat_chunk({"tool_calls": [call]})


def _chat_open_calls(n: int) -> bytes:
    starts = [_chat_fragment(number, "", "f") for number in range(n)]
    pieces = [_chat_fragment(number, '{"a":1}') for number in range(n)]
    return _sse(*starts, *pieces, _chat_chunk({}, "tool_calls")) + b"data: [DONE]\n\n"


def _chat_open_calls_between_texts(n: int) -> bytes:
    pieces = [(_chat_chunk({"content": _word(number)}), _chat_fragment(number, "{}", "f")) for number in range(n)]
    return _sse(*chain(*pieces), _chat_chunk({}, "tool_calls")) + b"data: [DONE]\n\n"


def _chat_repeated_names(n: int) -> bytes:
    pieces = [_chat_fragment(0, f'"k{number}":{{}},', "f") for number in range(n)]
    ends = _chat_fragment(0, "{", "f"), _chat_fragment(0, '"k":{}}', "f")
    return _sse(ends[0], *pieces, ends[1], _chat_chunk({}, "tool_calls")) + b"data: [DONE]\n\n"


def _chat_audio(n: int) -> bytes:
    pieces = [_chat_chunk({"audio": {"id": "a", "data": "QUJD", "transcript": "word "}}) for _ in range(n)]
    return _sse(*pieces, _chat_chunk({}, "stop")) + b"data: [DONE]\n\n"


def _messages(blocks: list[Document], reason: str) -> bytes:
    start = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}}
    stop = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}}
    return _named_sse({"type": "message_start", "message": start}, *blocks, stop, {"type": "message_stop"})


def _messages_open_calls(n: int) -> bytes:
    """All tool calls are open at once, and end in the opposite order."""
    starts = [
        {
            "type": "content_block_start",
            "index": number,
            "content_block": {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {}},
        }
        for number in range(n)
    ]
    deltas = [
        {
            "type": "content_block_delta",
            "index": number,
            "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'},
        }
        for number in range(n)
    ]
    stops = [{"type": "content_block_stop", "index": number} for number in reversed(range(n))]
    return _messages([*starts, *deltas, *stops], "tool_use")


def _responses(*events: Document) -> bytes:
    response = {"id": "r", "object": "response", "model": "m", "output": [], "status": "in_progress"}
    done = {"type": "response.completed", "response": {**response, "status": "completed"}}
    return _named_sse({"type": "response.created", "response": response}, *events, done)


def _responses_repeated_texts(n: int) -> bytes:
    """The complete text is repeated although it is shorter than what was sent."""
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    item = {"id": "i", "type": "message", "content": []}
    deltas = [{"type": "response.output_text.delta", "delta": _word(number), **place} for number in range(n)]
    done = {"type": "response.output_text.done", "text": _word(0), **place}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    return _responses(added, *deltas, *(done for _ in range(n)))


def _responses_open_calls(n: int) -> bytes:
    items = [{"id": f"i{number}", "type": "function_call", "call_id": f"c{number}", "name": "f"} for number in range(n)]
    added = [
        {"type": "response.output_item.added", "output_index": number, "item": item}
        for number, item in enumerate(items)
    ]
    deltas = [
        {
            "type": "response.function_call_arguments.delta",
            "item_id": item["id"],
            "output_index": number,
            "delta": '{"a":1}',
        }
        for number, item in enumerate(items)
    ]
    return _responses(*added, *deltas)


def _gemini_chunk(text: str, finish: str | None = None, **members: Any) -> Document:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **members}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "modelVersion": "m"}


def _gemini_repeated_grounding(n: int) -> bytes:
    def chunk(number: int) -> Document:
        start = number * _WORD_BYTES
        segment = {"startIndex": start, "endIndex": start + _WORD_BYTES, "text": _word(number)}
        grounding = {
            "groundingChunks": [{"web": {"uri": f"https://a.example/{number}", "title": "A"}}],
            "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        }
        return _gemini_chunk(_word(number), groundingMetadata=grounding)

    return _sse(*map(chunk, range(n)), _gemini_chunk("", "STOP"))


def _converse(*events: tuple[str, Document]) -> bytes:
    headers = {":message-type": "event", ":content-type": "application/json"}
    return b"".join(encode_message({**headers, ":event-type": kind}, _encode(event)) for kind, event in events)


def _converse_of(events: list[Event]) -> bytes:
    """Write events as a Converse stream. Logprobs are left out, which Converse does not have."""
    frames: list[tuple[str, Document]] = [("messageStart", {"role": "assistant"})]
    for event in events:
        index = {"contentBlockIndex": getattr(event, "part", 0)}
        match event:
            case ToolCallStarted():
                start = {"toolUse": {"toolUseId": event.id, "name": event.name}}
                frames.append(("contentBlockStart", {**index, "start": start}))
            case ArgumentsDelta():
                frames.append(("contentBlockDelta", {**index, "delta": {"toolUse": {"input": event.text}}}))
            case TextDelta():
                frames.append(("contentBlockDelta", {**index, "delta": {"text": event.text}}))
            case ReasoningDelta():
                frames.append(("contentBlockDelta", {**index, "delta": {"reasoningContent": {"text": event.text}}}))
            case CitationDelta():
                frames.append(
                    ("contentBlockDelta", {**index, "delta": {"citation": _converse_citation(event.citation)}})
                )
            case PartEnded():
                frames.append(("contentBlockStop", index))
            case _:
                pass
    has_calls = any(isinstance(event, ToolCallStarted) for event in events)
    frames.append(("messageStop", {"stopReason": "tool_use" if has_calls else "end_turn"}))
    return _converse(*frames, ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1}}))


def _converse_citation(citation: Citation) -> Document:
    return {"title": citation.title, "location": {"web": {"url": citation.url}}}


def _converse_body(response: Response) -> bytes:
    blocks: list[Document] = []
    for part in response.choices[0].parts:
        if isinstance(part, ToolCall):
            call = {"toolUseId": part.id, "name": part.name, "input": msgspec.json.decode(part.arguments)}
            blocks.append({"toolUse": call})
        elif text := getattr(part, "text", ""):
            citations = [_converse_citation(each) for each in getattr(part, "citations", ())]
            cited = {"content": [{"text": text}], "citations": citations}
            blocks.append({"citationsContent": cited} if citations else {"text": text})
    message = {"role": "assistant", "content": blocks}
    usage = {"inputTokens": 1, "outputTokens": 1}
    return _encode({"output": {"message": message}, "stopReason": "end_turn", "usage": usage})


_PECULIAR: Final[dict[str, dict[str, Callable[[int], bytes]]]] = {
    "openai_chat": {
        "open calls": _chat_open_calls,
        "open calls between texts": _chat_open_calls_between_texts,
        "repeated names": _chat_repeated_names,
        "audio": _chat_audio,
    },
    "openai_responses": {"repeated texts": _responses_repeated_texts, "open calls": _responses_open_calls},
    "anthropic_messages": {"open calls": _messages_open_calls},
    "gemini": {"repeated grounding": _gemini_repeated_grounding},
    "ollama": {},
    "bedrock": {},
}


def stream_families(upstream: str) -> list[str]:
    return [*_CONTENT, *_PECULIAR[upstream]]


def body_families() -> list[str]:
    return [*_CONTENT]


def stream(upstream: str, family: str, n: int) -> bytes:
    """Return a stream of the upstream with n of something."""
    if (build := _PECULIAR[upstream].get(family)) is not None:
        return build(n)
    events = events_of(family, n)
    return _converse_of(events) if upstream == "bedrock" else encode_stream(events, upstream)[0]


def body(upstream: str, family: str, n: int) -> bytes:
    """Return a complete answer of the upstream with n of something."""
    response = collect(events_of(family, n), upstream)
    return _converse_body(response) if upstream == "bedrock" else encode_answer(response, upstream)[0]
