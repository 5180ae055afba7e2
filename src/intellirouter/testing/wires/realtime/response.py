"""The events of one realtime response, from its creation to its usage."""

import base64
from collections.abc import Iterator
from typing import Final

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion
from intellirouter.fake.tokens import count_tokens, split_tokens
from intellirouter.testing.wires.realtime.items import Document

PCM_PER_TOKEN: Final = bytes(4800)


def response_events(
    completion: Completion, settings: Document, conversation: str
) -> tuple[list[Document], list[Document]]:
    """Return the events, and the items that they add to the conversation."""
    choice = completion.choices[0]
    has_audio = "audio" in settings["output_modalities"]
    output = list(_items(choice, has_audio=has_audio))
    is_cut = choice.finish_reason == "length"
    response: Document = {
        "object": "realtime.response",
        "id": new_id("resp_"),
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": conversation,
        "output_modalities": settings["output_modalities"],
        "max_output_tokens": settings["max_output_tokens"],
        "audio": {"output": settings["audio"]["output"]},
        "usage": None,
        "metadata": settings.get("metadata"),
    }
    events: list[Document] = [{"type": "response.created", "response": response}]
    for index, item in enumerate(output):
        place = {"response_id": response["id"], "output_index": index}
        events += ({"type": event.pop("type"), **place, **event} for event in _item_events(item))
    done = {**response, "status": "incomplete" if is_cut else "completed", "output": output}
    if is_cut:
        done["status_details"] = {"type": "incomplete", "reason": "max_output_tokens"}
    done["usage"] = _usage(completion, has_audio=has_audio)
    events.append({"type": "response.done", "response": done})
    limits = {"name": "requests", "limit": 10_000, "remaining": 9_999, "reset_seconds": 0.006}
    events.append({"type": "rate_limits.updated", "rate_limits": [limits]})
    return events, output


def _usage(completion: Completion, *, has_audio: bool) -> Document:
    output = completion.output_tokens
    none = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
    input_details = {**none, "text_tokens": completion.prompt_tokens, "cached_tokens": 0, "cached_tokens_details": none}
    return {
        "total_tokens": completion.prompt_tokens + output,
        "input_tokens": completion.prompt_tokens,
        "output_tokens": output,
        "input_token_details": input_details,
        "output_token_details": {"text_tokens": 0 if has_audio else output, "audio_tokens": output if has_audio else 0},
    }


def _items(choice: Choice, *, has_audio: bool) -> Iterator[Document]:
    text = choice.text or choice.refusal or ""
    if text or not choice.calls:
        part = {"type": "output_audio", "transcript": text} if has_audio else {"type": "output_text", "text": text}
        yield {
            "id": new_id("item_"),
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }
    for call in choice.calls:
        yield {
            "id": new_id("item_"),
            "object": "realtime.item",
            "type": "function_call",
            "status": "completed",
            "name": call.name,
            "call_id": call.id,
            "arguments": call.arguments,
        }


def _item_events(item: Document) -> Iterator[Document]:
    is_call = item["type"] == "function_call"
    empty: Document = {"arguments": ""} if is_call else {"content": []}
    started = {**item, "status": "in_progress", **empty}
    yield {"type": "response.output_item.added", "item": started}
    yield {"type": "conversation.item.added", "item": started}
    place = {"item_id": item["id"]}
    if is_call:
        place["call_id"] = item["call_id"]
        for piece in split_tokens(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, **done}
    else:
        yield from _part_events(item["content"][0], {**place, "content_index": 0})
    yield {"type": "conversation.item.done", "item": item}
    yield {"type": "response.output_item.done", "item": item}


def _part_events(part: Document, place: Document) -> Iterator[Document]:
    if part["type"] == "output_text":
        yield {"type": "response.content_part.added", **place, "part": {"type": "text", "text": ""}}
        for piece in split_tokens(part["text"]):
            yield {"type": "response.output_text.delta", **place, "delta": piece}
        yield {"type": "response.output_text.done", **place, "text": part["text"]}
        yield {"type": "response.content_part.done", **place, "part": {"type": "text", "text": part["text"]}}
        return
    transcript = part["transcript"]
    audio = base64.b64encode(PCM_PER_TOKEN).decode()
    yield {"type": "response.content_part.added", **place, "part": {"type": "audio", "transcript": ""}}
    for piece in split_tokens(transcript):
        yield {"type": "response.output_audio_transcript.delta", **place, "delta": piece}
    for _ in range(count_tokens(transcript)):
        yield {"type": "response.output_audio.delta", **place, "delta": audio}
    yield {"type": "response.output_audio.done", **place}
    yield {"type": "response.output_audio_transcript.done", **place, "transcript": transcript}
    yield {"type": "response.content_part.done", **place, "part": {"type": "audio", "transcript": transcript}}
