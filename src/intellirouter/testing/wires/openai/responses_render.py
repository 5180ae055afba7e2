"""Put a completion on the Responses wire: one document, or its events with their numbers."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion, ToolCall
from intellirouter.fake.openai.replies import error_document, json_reply, render_error, reply_headers
from intellirouter.fake.reply import SSE_TYPE, ErrorInfo, Reply, Sse, WireFormat
from intellirouter.fake.tokens import split_tokens
from intellirouter.testing.wires.openai.responses_request import ResponsesRequest
from intellirouter.testing.wires.shared.seal import mint

Document = dict[str, Any]
_DEFAULTS: Final[Document] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""What an answer repeats of its request, with what stands there when the request is silent."""
_OBFUSCATION: Final = "mockmockmock"


def event(document: Document) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), msgspec.json.encode(document))


def _error_event(error: ErrorInfo, at: int) -> bytes:
    document = error_document(error)["error"]
    said = {"code": document["code"], "message": document["message"], "param": None, "sequence_number": at}
    return event({"type": "error", **said})


RESPONSES_WIRE: Final = WireFormat(
    name="openai_responses",
    framing=Sse(),
    render_error=render_error,
    error_event=_error_event,
    # created, in_progress, the first item and its first part
    lead_events=4,
    filler_event=(b'event: keepalive\ndata: {"type":"keepalive","sequence_number":3,"filler":"', b'"}\n\n'),
)


def response_of(ask: ResponsesRequest, completion: Completion) -> Document:
    """Return the whole response object."""
    choice = completion.choices[0]
    reason = choice.finish_reason
    status = {"length": "incomplete", None: "in_progress"}.get(reason, "completed")
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": completion.created_s,
        "status": status,
        "background": ask.is_background,
        "completed_at": completion.created_s if status == "completed" else None,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": completion.model,
        "output": list(_items(ask, choice, "incomplete" if status == "incomplete" else "completed")),
        **_echo(ask),
        "usage": _usage(completion),
    }


def _echo(ask: ResponsesRequest) -> Document:
    said = {name: default if ask.echo.get(name) is None else ask.echo[name] for name, default in _DEFAULTS.items()}
    silent = {"description": None, "parameters": None, "strict": True}
    said["tools"] = [{**silent, **tool} if tool["type"] == "function" else tool for tool in said["tools"]]
    return said


def _usage(completion: Completion) -> Document:
    return {
        "input_tokens": completion.prompt_tokens,
        "input_tokens_details": {"cached_tokens": completion.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": completion.output_tokens,
        "output_tokens_details": {"reasoning_tokens": completion.reasoning_tokens},
        "total_tokens": completion.prompt_tokens + completion.output_tokens,
    }


def _items(ask: ResponsesRequest, choice: Choice, status: str) -> Iterator[Document]:
    if choice.reasoning:
        summary = [{"type": "summary_text", "text": "".join(choice.reasoning)}]
        is_shown = ask.has_summary or choice.is_reasoning_forced or not ask.wants_reasoning
        item: Document = {"id": new_id("rs_"), "type": "reasoning"}
        item["summary"] = summary if is_shown else []
        if ask.has_encrypted:
            item["encrypted_content"] = mint("reasoning")
        yield item
    if choice.tokens or choice.refusal is not None or not choice.calls:
        yield {
            "id": new_id("msg_"),
            "type": "message",
            "status": status,
            "content": [_part(choice)],
            "role": "assistant",
        }
    for call in choice.calls:
        yield _call(ask, call, status)


def _part(choice: Choice) -> Document:
    if choice.refusal is not None:
        return {"type": "refusal", "refusal": choice.refusal}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": choice.text}


def _call(ask: ResponsesRequest, call: ToolCall, status: str) -> Document:
    namespace = {"namespace": ask.namespaces[call.name]} if call.name in ask.namespaces else {}
    said = {"call_id": call.id, "name": call.name, **namespace}
    if call.name in ask.custom:
        head = {"id": new_id("ctc_"), "type": "custom_tool_call", "status": status}
        return {**head, **said, "input": call.arguments}
    return {"id": new_id("fc_"), "type": "function_call", "status": status, "arguments": call.arguments, **said}


def events_of(ask: ResponsesRequest, response: Document) -> list[Document]:
    """Return the events that a stream of this response has."""
    begun = {**response, "status": "in_progress", "completed_at": None, "incomplete_details": None, "output": []}
    begun["usage"] = None
    events: list[Document] = [{"type": "response.created", "response": begun}]
    if ask.is_background:
        events[0]["response"] = {**begun, "status": "queued"}
        events.append({"type": "response.queued", "response": {**begun, "status": "queued"}})
    events.append({"type": "response.in_progress", "response": begun})
    for index, item in enumerate(response["output"]):
        events += ({**one, "output_index": index} for one in _item_events(item, ask))
    if response["status"] != "in_progress":
        events.append({"type": f"response.{response['status']}", "response": response})
    return [{"type": one["type"], "sequence_number": at, **one} for at, one in enumerate(events)]


def _item_events(item: Document, ask: ResponsesRequest) -> Iterator[Document]:
    empty: Document = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    begun = {**item, **empty.get(item["type"], {"input": ""})}
    if "status" in item:
        begun["status"] = "in_progress"
    yield {"type": "response.output_item.added", "item": begun}
    place: Document = {"item_id": item["id"]}
    match item["type"]:
        case "message":
            part = item["content"][0]
            kind, name = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
            silent: Document = {} if kind == "refusal" else {"logprobs": []}
            place["content_index"] = 0
            yield {"type": "response.content_part.added", **place, "part": {**part, name: ""}}
            yield from _pieces(f"response.{kind}", part[name], {**place, **silent}, name, ask)
            yield {"type": "response.content_part.done", **place, "part": part}
        case "reasoning":
            for number, part in enumerate(item["summary"]):
                place["summary_index"] = number
                yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
                yield from _pieces("response.reasoning_summary_text", part["text"], place, "text", ask)
                yield {"type": "response.reasoning_summary_part.done", **place, "part": part}
        case "function_call":
            yield from _pieces("response.function_call_arguments", item["arguments"], place, "arguments", ask)
        case _:
            yield from _pieces("response.custom_tool_call_input", item["input"], place, "input", ask)
    yield {"type": "response.output_item.done", "item": item}


def _pieces(kind: str, text: str, place: Document, name: str, ask: ResponsesRequest) -> Iterator[Document]:
    noise = {"obfuscation": _OBFUSCATION} if ask.is_obfuscated else {}
    for piece in split_tokens(text):
        yield {"type": f"{kind}.delta", **place, "delta": piece, **noise}
    yield {"type": f"{kind}.done", **place, name: text}


def whole_reply(document: Document) -> Reply:
    reply = json_reply(document)
    reply.wire = RESPONSES_WIRE
    return reply


def stream_reply(events: list[Document]) -> Reply:
    parts = [event(document) for document in events]
    return Reply(headers=reply_headers(SSE_TYPE), parts=parts, is_stream=True, wire=RESPONSES_WIRE)


def responses_reply(ask: ResponsesRequest, completion: Completion) -> tuple[Document, Reply]:
    """Return the response, to be kept, and what goes over the wire."""
    response = response_of(ask, completion)
    reply = stream_reply(events_of(ask, response)) if ask.is_stream else whole_reply(response)
    reply.plan, reply.render = completion, partial(_again, ask)
    return response, reply


def _again(ask: ResponsesRequest, completion: Completion) -> Reply:
    return responses_reply(ask, completion)[1]
