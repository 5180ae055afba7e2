"""Render a completion in the Responses API: as one document, or as numbered events."""

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
from intellirouter.testing.wires.shared.opaque_tokens import issue_token

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
"""The members of the request that the response repeats, with their defaults."""
_OBFUSCATION: Final = "mockmockmock"


def event(document: Document) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), msgspec.json.encode(document))


def _error_event(error: ErrorInfo, at: int) -> bytes:
    document = error_document(error)["error"]
    members = {"code": document["code"], "message": document["message"], "param": None, "sequence_number": at}
    return event({"type": "error", **members})


RESPONSES_WIRE: Final = WireFormat(
    name="openai_responses",
    framing=Sse(),
    render_error=render_error,
    error_event=_error_event,
    # created, in_progress, the first item and its first part
    lead_events=4,
    filler_event=(b'event: keepalive\ndata: {"type":"keepalive","sequence_number":3,"filler":"', b'"}\n\n'),
)


def response_of(request: ResponsesRequest, completion: Completion) -> Document:
    """Return the whole response object."""
    choice = completion.choices[0]
    reason = choice.finish_reason
    status = {"length": "incomplete", None: "in_progress"}.get(reason, "completed")
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": completion.created_s,
        "status": status,
        "background": request.is_background,
        "completed_at": completion.created_s if status == "completed" else None,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": completion.model,
        "output": list(_items(request, choice, "incomplete" if status == "incomplete" else "completed")),
        **_echo(request),
        "usage": _usage(completion),
    }


def _echo(request: ResponsesRequest) -> Document:
    echoed = {
        name: default if request.echo.get(name) is None else request.echo[name] for name, default in _DEFAULTS.items()
    }
    tool_defaults = {"description": None, "parameters": None, "strict": True}
    echoed["tools"] = [{**tool_defaults, **tool} if tool["type"] == "function" else tool for tool in echoed["tools"]]
    return echoed


def _usage(completion: Completion) -> Document:
    return {
        "input_tokens": completion.prompt_tokens,
        "input_tokens_details": {"cached_tokens": completion.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": completion.output_tokens,
        "output_tokens_details": {"reasoning_tokens": completion.reasoning_tokens},
        "total_tokens": completion.prompt_tokens + completion.output_tokens,
    }


def _items(request: ResponsesRequest, choice: Choice, status: str) -> Iterator[Document]:
    if choice.reasoning:
        summary = [{"type": "summary_text", "text": "".join(choice.reasoning)}]
        is_shown = request.has_summary or choice.is_reasoning_forced or not request.wants_reasoning
        item: Document = {"id": new_id("rs_"), "type": "reasoning"}
        item["summary"] = summary if is_shown else []
        if request.has_encrypted:
            item["encrypted_content"] = issue_token("reasoning")
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
        yield _call(request, call, status)


def _part(choice: Choice) -> Document:
    if choice.refusal is not None:
        return {"type": "refusal", "refusal": choice.refusal}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": choice.text}


def _call(request: ResponsesRequest, call: ToolCall, status: str) -> Document:
    namespace = {"namespace": request.namespaces[call.name]} if call.name in request.namespaces else {}
    members = {"call_id": call.id, "name": call.name, **namespace}
    if call.name in request.custom:
        head = {"id": new_id("ctc_"), "type": "custom_tool_call", "status": status}
        return {**head, **members, "input": call.arguments}
    return {"id": new_id("fc_"), "type": "function_call", "status": status, "arguments": call.arguments, **members}


def events_of(request: ResponsesRequest, response: Document) -> list[Document]:
    """Return the events of a stream of this response."""
    started = {**response, "status": "in_progress", "completed_at": None, "incomplete_details": None, "output": []}
    started["usage"] = None
    events: list[Document] = [{"type": "response.created", "response": started}]
    if request.is_background:
        events[0]["response"] = {**started, "status": "queued"}
        events.append({"type": "response.queued", "response": {**started, "status": "queued"}})
    events.append({"type": "response.in_progress", "response": started})
    for index, item in enumerate(response["output"]):
        events += ({**one, "output_index": index} for one in _item_events(item, request))
    if response["status"] != "in_progress":
        events.append({"type": f"response.{response['status']}", "response": response})
    return [{"type": one["type"], "sequence_number": at, **one} for at, one in enumerate(events)]


def _item_events(item: Document, request: ResponsesRequest) -> Iterator[Document]:
    empty: Document = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    started = {**item, **empty.get(item["type"], {"input": ""})}
    if "status" in item:
        started["status"] = "in_progress"
    yield {"type": "response.output_item.added", "item": started}
    place: Document = {"item_id": item["id"]}
    match item["type"]:
        case "message":
            part = item["content"][0]
            kind, name = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
            no_logprobs: Document = {} if kind == "refusal" else {"logprobs": []}
            place["content_index"] = 0
            yield {"type": "response.content_part.added", **place, "part": {**part, name: ""}}
            yield from _pieces(f"response.{kind}", part[name], {**place, **no_logprobs}, name, request)
            yield {"type": "response.content_part.done", **place, "part": part}
        case "reasoning":
            for number, part in enumerate(item["summary"]):
                place["summary_index"] = number
                yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
                yield from _pieces("response.reasoning_summary_text", part["text"], place, "text", request)
                yield {"type": "response.reasoning_summary_part.done", **place, "part": part}
        case "function_call":
            yield from _pieces("response.function_call_arguments", item["arguments"], place, "arguments", request)
        case _:
            yield from _pieces("response.custom_tool_call_input", item["input"], place, "input", request)
    yield {"type": "response.output_item.done", "item": item}


def _pieces(kind: str, text: str, place: Document, name: str, request: ResponsesRequest) -> Iterator[Document]:
    obfuscation = {"obfuscation": _OBFUSCATION} if request.is_obfuscated else {}
    for piece in split_tokens(text):
        yield {"type": f"{kind}.delta", **place, "delta": piece, **obfuscation}
    yield {"type": f"{kind}.done", **place, name: text}


def whole_reply(document: Document) -> Reply:
    reply = json_reply(document)
    reply.wire = RESPONSES_WIRE
    return reply


def stream_reply(events: list[Document]) -> Reply:
    parts = [event(document) for document in events]
    return Reply(headers=reply_headers(SSE_TYPE), parts=parts, is_stream=True, wire=RESPONSES_WIRE)


def responses_reply(request: ResponsesRequest, completion: Completion) -> tuple[Document, Reply]:
    """Return the response object, which is stored, and the reply."""
    response = response_of(request, completion)
    reply = stream_reply(events_of(request, response)) if request.is_stream else whole_reply(response)
    reply.plan, reply.render = completion, partial(_render_again, request)
    return response, reply


def _render_again(request: ResponsesRequest, completion: Completion) -> Reply:
    return responses_reply(request, completion)[1]
