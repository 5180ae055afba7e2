"""Faults of form: answers that are not what they claim to be, and legal ones that clients trip over."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from intellirouter.testing.faults.flow import cut_up
from intellirouter.testing.faults.script import Script, Step, script_of
from intellirouter.testing.openai_wire import DONE_EVENT, Reply, pretty_json, sse_event

ODD_SIZE: Final = 7
"""Bytes a piece when a stream is split: falls into events, lines, escapes and code points."""
_HTML: Final = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>\n"
Edit = Callable[[dict[str, Any]], None]


def malformed(reply: Reply, params: Mapping[str, Any]) -> Script:
    return WAYS[params["how"]](reply)


def extra(reply: Reply, params: Mapping[str, Any]) -> Script:
    return ODDITIES[params["what"]](reply)


def _with_steps(reply: Reply, steps: list[bytes]) -> Script:
    script = script_of(reply)
    script.steps = list[Step](steps)
    return script


def _each_event(reply: Reply, change: Callable[[bytes], bytes]) -> Script:
    """Change every event of a stream; a body that is not streamed stays as it is."""
    return _with_steps(reply, [change(part) for part in reply.parts] if reply.is_stream else reply.parts)


def _edited(reply: Reply, edit: Edit) -> Script:
    """Change every JSON document: the body, or each event but `[DONE]`."""
    if not reply.is_stream:
        return _with_steps(reply, [pretty_json(_edit(part, edit)) for part in reply.parts])
    return _each_event(reply, lambda part: part if part == DONE_EVENT else sse_event(_edit(part[6:], edit)))


def _edit(data: bytes, edit: Edit) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(data)
    edit(document)
    return document


def _documents(reply: Reply) -> list[dict[str, Any]]:
    return [msgspec.json.decode(part[6:]) for part in reply.parts if part != DONE_EVENT]


# --- broken


def _json(reply: Reply) -> Script:
    if reply.is_stream:
        return _with_steps(reply, [reply.parts[0], b"data: {'choices': not json}\n\n", *reply.parts[1:]])
    return _with_steps(reply, [b"{'choices': not json}"])


def _truncated(reply: Reply) -> Script:
    """Half an answer whose length is announced as complete."""
    whole = b"".join(reply.parts)
    return _with_steps(reply, [whole[: len(whole) // 2]])


def _utf8(reply: Reply) -> Script:
    if reply.is_stream:
        return _with_steps(reply, [*reply.parts[:-1], b'data: {"choices":[],"note":"\xff\xfe"}\n\n', DONE_EVENT])
    return _with_steps(reply, [reply.parts[0].replace(b'"object"', b'"note": "\xff\xfe", "object"', 1)])


def _html(_reply: Reply) -> Script:
    return Script(status=200, headers=[("content-type", "text/html")], steps=[_HTML])


def _empty(reply: Reply) -> Script:
    return _with_steps(reply, [])


def _no_data_prefix(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.removeprefix(b"data: "))


def _no_done(reply: Reply) -> Script:
    return _with_steps(reply, [part for part in reply.parts if part != DONE_EVENT])


def _no_finish_reason(reply: Reply) -> Script:
    def forget(document: dict[str, Any]) -> None:
        for choice in document.get("choices", []):
            choice["finish_reason"] = None

    return _edited(reply, forget)


def _duplicate_ids(reply: Reply) -> Script:
    def repeat(document: dict[str, Any]) -> None:
        for choice in document.get("choices", []):
            for call in choice.get("delta", choice.get("message", {})).get("tool_calls", []):
                if "id" in call:
                    call["id"] = "call_duplicate"

    return _edited(reply, repeat)


def _changing_ids(reply: Reply) -> Script:
    count = iter(range(len(reply.parts)))

    def rename(document: dict[str, Any]) -> None:
        document["id"] = f"chatcmpl-{next(count)}"

    return _edited(reply, rename)


def _truncated_tool_args(reply: Reply) -> Script:
    """Every argument string ends early, though finish_reason says that all is well."""

    def cut(document: dict[str, Any]) -> None:
        for choice in document.get("choices", []):
            for call in choice.get("delta", choice.get("message", {})).get("tool_calls", []):
                arguments = call["function"]["arguments"]
                call["function"]["arguments"] = arguments.removesuffix("}")

    return _edited(reply, cut)


# --- legal, and rare


def _crlf(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"\n", b"\r\n"))


def _comments(reply: Reply) -> Script:
    return _each_event(reply, lambda part: b": keep-alive\n\n" + part)


def _no_space(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"data: ", b"data:", 1))


def _multi_line(reply: Reply) -> Script:
    """One event's JSON over several `data:` lines."""
    return _each_event(
        reply,
        lambda part: (
            part
            if part == DONE_EVENT
            else b"".join(b"data: " + line + b"\n" for line in msgspec.json.format(part[6:]).split(b"\n")) + b"\n"
        ),
    )


def _named_events(reply: Reply) -> Script:
    return _each_event(reply, lambda part: b"event: message\nid: 1\nretry: 1000\n" + part)


def _split(reply: Reply) -> Script:
    script = script_of(reply)
    script.steps = cut_up(b"".join(reply.parts), ODD_SIZE)
    return script


WAYS: Final[Mapping[str, Callable[[Reply], Script]]] = {
    "json": _json,
    "truncated": _truncated,
    "utf8": _utf8,
    "html": _html,
    "empty": _empty,
    "no_data_prefix": _no_data_prefix,
    "no_done": _no_done,
    "no_finish_reason": _no_finish_reason,
    "duplicate_ids": _duplicate_ids,
    "changing_ids": _changing_ids,
    "truncated_tool_args": _truncated_tool_args,
    "crlf": _crlf,
    "comments": _comments,
    "no_space": _no_space,
    "multi_line": _multi_line,
    "named_events": _named_events,
    "split": _split,
}


# --- extra


def _unknown_fields(reply: Reply) -> Script:
    def add(document: dict[str, Any]) -> None:
        document["x_unknown"] = {"nested": [1, None, "é"]}
        for choice in document.get("choices", []):
            choice["x_unknown"] = True

    return _edited(reply, add)


def _usage_missing(reply: Reply) -> Script:
    if not reply.is_stream:
        return _edited(reply, lambda document: document.pop("usage", None))
    kept = [document for document in _documents(reply) if document["choices"]]
    for document in kept:
        document.pop("usage", None)
    return _with_steps(reply, [*map(sse_event, kept), DONE_EVENT])


def _usage_on_choice(reply: Reply) -> Script:
    """Usage rides on the chunk that carries finish_reason, as several vendors send it, not on one of its own."""
    if not reply.is_stream:
        return script_of(reply)
    documents = _documents(reply)
    kept = [document for document in documents if document["choices"]]
    usage = next((document["usage"] for document in documents if not document["choices"]), None)
    if usage is not None and kept:
        kept[-1]["usage"] = usage
    return _with_steps(reply, [*map(sse_event, kept), DONE_EVENT])


def _usage_details(reply: Reply) -> Script:
    """Half of the prompt was cached and 8 tokens were spent on reasoning, which completion_tokens includes."""

    def add(document: dict[str, Any]) -> None:
        usage = document.get("usage")
        if usage and "completion_tokens" in usage:
            usage["prompt_tokens_details"]["cached_tokens"] = usage["prompt_tokens"] // 2
            usage["completion_tokens_details"]["reasoning_tokens"] = 8
            usage["completion_tokens"] += 8
            usage["total_tokens"] += 8

    return _edited(reply, add)


def _empty_choices(reply: Reply) -> Script:
    """A first chunk without choices, as vendors that check the prompt send it."""
    if not reply.is_stream:
        return script_of(reply)
    first = {**_documents(reply)[0], "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    return _with_steps(reply, [sse_event(first), *reply.parts])


def _reasoning(reply: Reply) -> Script:
    """The text is preceded by `reasoning_content`."""
    if reply.is_stream:
        thought = _documents(reply)[0]
        for choice in thought["choices"]:
            choice["delta"] = {"reasoning_content": "Let me think."}
        return _with_steps(reply, [reply.parts[0], sse_event(thought), *reply.parts[1:]])

    def think(document: dict[str, Any]) -> None:
        for choice in document.get("choices", []):
            choice["message"]["reasoning_content"] = "Let me think."

    return _edited(reply, think)


ODDITIES: Final[Mapping[str, Callable[[Reply], Script]]] = {
    "unknown_fields": _unknown_fields,
    "usage_missing": _usage_missing,
    "usage_on_choice": _usage_on_choice,
    "usage_details": _usage_details,
    "empty_choices": _empty_choices,
    "reasoning": _reasoning,
}
