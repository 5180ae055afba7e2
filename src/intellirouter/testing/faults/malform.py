"""Faults of form: answers that are not what they claim to be, and legal ones that clients trip over."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from intellirouter.testing.faults import content
from intellirouter.testing.faults.flow import cut_up
from intellirouter.testing.faults.script import Script, Step, script_of
from intellirouter.testing.wires.shared import Reply, pretty_json

ODD_SIZE: Final = 7
"""Bytes a piece when a stream is split: falls into events, lines, escapes and code points."""
_HTML: Final = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>\n"
_NO_JSON: Final = b"{'choices': not json}"
_NO_TEXT: Final = b"\xff\xfe\x80"
_USAGE: Final = ("usage", "usageMetadata", "prompt_eval_count", "eval_count")
Edit = Callable[[dict[str, Any]], None]
Change = Callable[[bytes], bytes]


def malformed(reply: Reply, params: Mapping[str, Any]) -> Script:
    return WAYS[params["how"]](reply)


def extra(reply: Reply, params: Mapping[str, Any]) -> Script:
    return ODDITIES[params["what"]](reply)


def _with_steps(reply: Reply, steps: list[bytes]) -> Script:
    script = script_of(reply)
    script.steps = list[Step](steps)
    return script


def _each_event(reply: Reply, change: Change) -> Script:
    """Change every server-sent event; a body, or a stream of another form, stays as it is."""
    return _with_steps(reply, [change(part) for part in reply.parts] if _is_sse(reply) else reply.parts)


def _is_sse(reply: Reply) -> bool:
    return reply.is_stream and reply.wire.is_sse


def _each_payload(reply: Reply, change: Change) -> Script:
    """Change every document, as bytes: the body, or each event that has one."""
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
    """Change every JSON object; what is none (a picture, a sound) stays as it is."""

    def change(payload: bytes) -> bytes:
        document = _decoded(payload)
        if document is None:
            return payload
        edit(document)
        return msgspec.json.encode(document) if reply.is_stream else pretty_json(document)

    return _each_payload(reply, change)


def _decoded(payload: bytes | None) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(payload or b"")
    except (msgspec.MsgspecError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _documents(reply: Reply) -> list[dict[str, Any]]:
    found = (_decoded(reply.wire.framing.payload(part)) for part in reply.parts)
    return [document for document in found if document is not None]


def _event(reply: Reply, document: Any) -> bytes:
    return reply.wire.framing.wrap(msgspec.json.encode(document), reply.parts[0])


def _inserted(reply: Reply, payload: bytes, at: int) -> Script:
    event = reply.wire.framing.wrap(payload, reply.parts[:2][-1])
    return _with_steps(reply, [*reply.parts[:at], event, *reply.parts[at:]])


def _replanned(edit: Callable[[Any], Any], reply: Reply) -> Script:
    return script_of(reply.replanned(edit))


# --- broken


def _json(reply: Reply) -> Script:
    return _inserted(reply, _NO_JSON, 1) if reply.is_stream else _with_steps(reply, [_NO_JSON])


def _truncated(reply: Reply) -> Script:
    """Half an answer whose length is announced as complete."""
    whole = b"".join(reply.parts)
    return _with_steps(reply, [whole[: len(whole) // 2]])


def _utf8(reply: Reply) -> Script:
    if reply.is_stream:
        return _inserted(reply, b'{"choices":[],"note":"\xff\xfe"}', len(reply.parts) - 1)
    return _with_steps(reply, [part.replace(b"{", b'{"note": "\xff\xfe", ', 1) for part in reply.parts])


def _utf8_in_text(reply: Reply) -> Script:
    """The text itself holds bytes that are no UTF-8."""
    return _each_payload(
        reply.replanned(content.marked), lambda payload: payload.replace(content.MARK.encode(), _NO_TEXT)
    )


def _html(_reply: Reply) -> Script:
    return Script(status=200, headers=[("content-type", "text/html")], steps=[_HTML])


def _empty(reply: Reply) -> Script:
    return _with_steps(reply, [])


def _no_data_prefix(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"data: ", b"", 1))


def _no_done(reply: Reply) -> Script:
    """A stream without its last event: `[DONE]`, `message_stop`, `response.completed`, the one with `done: true`."""
    return _with_steps(reply, reply.parts[:-1] if reply.is_stream else reply.parts)


def _changing_ids(reply: Reply) -> Script:
    count = iter(range(len(reply.parts)))

    def rename(document: dict[str, Any]) -> None:
        for name in ("id", "responseId"):
            if name in document:
                document[name] = f"chatcmpl-{next(count)}"

    return _edited(reply, rename)


# --- legal, and rare


def _crlf(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def _comments(reply: Reply) -> Script:
    return _each_event(reply, lambda part: b": keep-alive\n\n" + part)


def _no_space(reply: Reply) -> Script:
    return _each_event(reply, lambda part: part.replace(b"data: ", b"data:", 1))


def _multi_line(reply: Reply) -> Script:
    """One event's JSON over several `data:` lines."""

    def spread(part: bytes) -> bytes:
        payload = reply.wire.framing.payload(part)
        if payload is None:
            return part
        lines = msgspec.json.format(payload).split(b"\n")
        head = part[: part.find(b"data: ")]
        return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"

    return _each_event(reply, spread)


def _named_events(reply: Reply) -> Script:
    """Lines that say nothing new. A protocol that names its events keeps its names."""
    return _each_event(
        reply,
        lambda part: (b"" if part.startswith(b"event:") else b"event: message\n") + b"id: 1\nretry: 1000\n" + part,
    )


def _split(reply: Reply) -> Script:
    script = script_of(reply)
    script.steps = cut_up(b"".join(reply.parts), ODD_SIZE)
    return script


WAYS: Final[Mapping[str, Callable[[Reply], Script]]] = {
    "json": _json,
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
    """No usage anywhere; an event that carries nothing else is not sent."""

    def forget(document: dict[str, Any]) -> None:
        for place in (document, document.get("message"), document.get("response")):
            if isinstance(place, dict):
                for name in _USAGE:
                    place.pop(name, None)

    if reply.is_stream and reply.wire.name == "openai_chat":
        kept = [document for document in _documents(reply) if document.get("choices")]
        for document in kept:
            forget(document)
        return _with_steps(reply, [*(_event(reply, document) for document in kept), reply.parts[-1]])
    return _edited(reply, forget)


def _usage_on_choice(reply: Reply) -> Script:
    """Usage rides on the chunk that carries finish_reason, as several vendors send it, not on one of its own."""
    if not reply.is_stream or reply.wire.name != "openai_chat":
        return script_of(reply)
    documents = _documents(reply)
    kept = [document for document in documents if document.get("choices")]
    usage = next((document.get("usage") for document in documents if not document.get("choices")), None)
    if usage is not None and kept:
        kept[-1]["usage"] = usage
    return _with_steps(reply, [*(_event(reply, document) for document in kept), reply.parts[-1]])


def _empty_choices(reply: Reply) -> Script:
    """A first chunk without choices, as vendors that check the prompt send it."""
    if not reply.is_stream or reply.wire.name != "openai_chat":
        return script_of(reply)
    first = {**_documents(reply)[0], "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    return _with_steps(reply, [_event(reply, first), *reply.parts])


ODDITIES: Final[Mapping[str, Callable[[Reply], Script]]] = {
    "unknown_fields": _unknown_fields,
    "usage_missing": _usage_missing,
    "usage_on_choice": _usage_on_choice,
    "empty_choices": _empty_choices,
    **{name: partial(_replanned, edit) for name, edit in content.EXTRAS.items()},
}
