"""Faults of format: malformed answers, and valid but unusual answers that clients often handle badly."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from intellirouter.fake.faults import invalid_json
from intellirouter.fake.reply import Reply, json_object, pretty_json
from intellirouter.fake.script import Script, Step, script_of
from intellirouter.testing.faults import content
from intellirouter.testing.faults.connection import split_bytes

SPLIT_BYTES: Final = 7
"""Size of the pieces when a stream is split: small enough to split events, lines, escapes and code points."""
_HTML: Final = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>\n"
_INVALID_UTF8: Final = b"\xff\xfe\x80"
_USAGE_MEMBERS: Final = ("usage", "usageMetadata", "prompt_eval_count", "eval_count")
Edit = Callable[[dict[str, Any]], None]
Change = Callable[[bytes], bytes]


def malformed(reply: Reply, params: Mapping[str, Any]) -> Script:
    return MALFORMATIONS[params["how"]](reply)


def extra(reply: Reply, params: Mapping[str, Any]) -> Script:
    return EXTRAS[params["what"]](reply)


def _with_steps(reply: Reply, steps: list[bytes]) -> Script:
    script = script_of(reply)
    script.steps = list[Step](steps)
    return script


def _each_event(reply: Reply, change: Change) -> Script:
    """Change every server-sent event; a body or a stream in another format remains unchanged."""
    return _with_steps(reply, [change(part) for part in reply.parts] if _is_sse(reply) else reply.parts)


def _is_sse(reply: Reply) -> bool:
    return reply.is_stream and reply.wire.is_sse


def _each_payload(reply: Reply, change: Change) -> Script:
    """Change the bytes of every document: the body, or the document in each event."""
    if not reply.is_stream:
        return _with_steps(reply, [change(part) for part in reply.parts])
    framing = reply.wire.framing
    payloads = [framing.payload(part) for part in reply.parts]
    return _with_steps(
        reply,
        [
            part if payload is None else framing.wrap(change(payload), part)
            for part, payload in zip(reply.parts, payloads, strict=True)
        ],
    )


def _edited(reply: Reply, edit: Edit) -> Script:
    """Change every JSON object; other content, such as images and audio, remains unchanged."""

    def change(payload: bytes) -> bytes:
        document = json_object(payload)
        if document is None:
            return payload
        edit(document)
        return msgspec.json.encode(document) if reply.is_stream else pretty_json(document)

    return _each_payload(reply, change)


def _documents(reply: Reply) -> list[dict[str, Any]]:
    found = (json_object(reply.wire.framing.payload(part) or b"") for part in reply.parts)
    return [document for document in found if document is not None]


def _event(reply: Reply, document: Any) -> bytes:
    return reply.wire.framing.wrap(msgspec.json.encode(document), reply.parts[0])


def _inserted(reply: Reply, payload: bytes, at: int) -> Script:
    event = reply.wire.framing.wrap(payload, reply.parts[:2][-1])
    return _with_steps(reply, [*reply.parts[:at], event, *reply.parts[at:]])


def _replanned(edit: Callable[[Any], Any], reply: Reply) -> Script:
    return script_of(reply.replanned(edit))


# --- malformed


def _truncated(reply: Reply) -> Script:
    """Send half of the answer as if it were complete, with the `content-length` of that half."""
    whole = b"".join(reply.parts)
    return _with_steps(reply, [whole[: len(whole) // 2]])


def _utf8(reply: Reply) -> Script:
    if reply.is_stream:
        return _inserted(reply, b'{"choices":[],"note":"\xff\xfe"}', len(reply.parts) - 1)
    return _with_steps(reply, [part.replace(b"{", b'{"note": "\xff\xfe", ', 1) for part in reply.parts])


def _utf8_in_text(reply: Reply) -> Script:
    """Put bytes that are not valid UTF-8 into the text."""
    return _each_payload(
        reply.replanned(content.marked), lambda payload: payload.replace(content.MARK.encode(), _INVALID_UTF8)
    )


def _html(_reply: Reply) -> Script:
    return Script(status=200, headers=[("content-type", "text/html")], steps=[_HTML])


def _empty(reply: Reply) -> Script:
    return _with_steps(reply, [])


def _no_data_prefix(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"data: ", b"", 1))


def _no_done(reply: Reply) -> Script:
    """Send a stream without its last event (`[DONE]`, `message_stop`, `response.completed`, `done: true`)."""
    return _with_steps(reply, reply.parts[:-1] if reply.is_stream else reply.parts)


def _changing_ids(reply: Reply) -> Script:
    count = iter(range(len(reply.parts)))

    def rename(document: dict[str, Any]) -> None:
        for name in ("id", "responseId"):
            if name in document:
                document[name] = f"chatcmpl-{next(count)}"

    return _edited(reply, rename)


# --- valid, but unusual


def _crlf(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def _comments(reply: Reply) -> Script:
    return _each_event(reply, lambda part: b": keep-alive\n\n" + part)


def _no_space(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"data: ", b"data:", 1))


def _multi_line(reply: Reply) -> Script:
    """Spread the JSON of each event over several `data:` lines."""

    def spread(part: bytes) -> bytes:
        payload = reply.wire.framing.payload(part)
        if payload is None:
            return part
        lines = msgspec.json.format(payload).split(b"\n")
        head = part[: part.find(b"data: ")]
        return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"

    return _each_event(reply, spread)


def _named_events(reply: Reply) -> Script:
    """Add `event:`, `id:` and `retry:` lines. Events that already have a name keep it."""
    return _each_event(
        reply,
        lambda part: (b"" if part.startswith(b"event:") else b"event: message\n") + b"id: 1\nretry: 1000\n" + part,
    )


def _split(reply: Reply) -> Script:
    script = script_of(reply)
    script.steps = split_bytes(b"".join(reply.parts), SPLIT_BYTES)
    return script


MALFORMATIONS: Final[Mapping[str, Callable[[Reply], Script]]] = {
    "json": invalid_json,
    "truncated": _truncated,
    "utf8": _utf8,
    "utf8_in_text": _utf8_in_text,
    "html": _html,
    "empty": _empty,
    "no_data_prefix": _no_data_prefix,
    "no_done": _no_done,
    "changing_ids": _changing_ids,
    **{name: partial(_replanned, edit) for name, edit in content.EDITS.items()},
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
    """Remove usage everywhere; an event that carries nothing else is not sent."""

    def remove(document: dict[str, Any]) -> None:
        for holder in (document, document.get("message"), document.get("response")):
            if isinstance(holder, dict):
                for name in _USAGE_MEMBERS:
                    holder.pop(name, None)

    if reply.is_stream and reply.wire.name == "openai_chat":
        chunks = [document for document in _documents(reply) if document.get("choices")]
        for document in chunks:
            remove(document)
        return _with_steps(reply, [*(_event(reply, document) for document in chunks), reply.parts[-1]])
    return _edited(reply, remove)


def _usage_on_choice(reply: Reply) -> Script:
    """Put usage on the chunk with finish_reason, as several vendors do, instead of on a separate chunk."""
    if not reply.is_stream or reply.wire.name != "openai_chat":
        return script_of(reply)
    documents = _documents(reply)
    chunks = [document for document in documents if document.get("choices")]
    usage = next((document.get("usage") for document in documents if not document.get("choices")), None)
    if usage is not None and chunks:
        chunks[-1]["usage"] = usage
    return _with_steps(reply, [*(_event(reply, document) for document in chunks), reply.parts[-1]])


def _empty_choices(reply: Reply) -> Script:
    """Send a first chunk without choices, as vendors do that filter the prompt."""
    if not reply.is_stream or reply.wire.name != "openai_chat":
        return script_of(reply)
    first = {**_documents(reply)[0], "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    return _with_steps(reply, [_event(reply, first), *reply.parts])


EXTRAS: Final[Mapping[str, Callable[[Reply], Script]]] = {
    "unknown_fields": _unknown_fields,
    "usage_missing": _usage_missing,
    "usage_on_choice": _usage_on_choice,
    "empty_choices": _empty_choices,
    **{name: partial(_replanned, edit) for name, edit in content.EXTRAS.items()},
}
