"""Render a completion in Ollama's format: as one document, or as one line per chunk."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from intellirouter.fake.completion import Choice, Completion
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import split_tokens
from intellirouter.testing.wires.ollama.reply import json_reply, stream_reply, timestamp
from intellirouter.testing.wires.ollama.request import OllamaRequest

_NS_PER_TOKEN: Final = 1_000_000
_REASONS: Final = {"stop": "stop", "length": "length", "tool_calls": "stop"}


def completion_reply(request: OllamaRequest, completion: Completion) -> Reply:
    if request.is_stream:
        reply = stream_reply(list(_lines(request, completion)))
    else:
        reasoning, text, calls = _content(completion.choices[0])
        message = _message(request, "".join(text), "".join(reasoning), calls)
        reply = json_reply({**_head(completion), **message, **_end(request, completion)})
    reply.plan, reply.render = completion, partial(completion_reply, request)
    return reply


def loaded_reply(request: OllamaRequest, completion: Completion) -> Reply:
    """Answer a request without a prompt, which only loads the model."""
    document = {**_head(completion), **_message(request, ""), "done_reason": "load", "done": True}
    return stream_reply([document]) if request.is_stream else json_reply(document)


def _head(completion: Completion) -> dict[str, Any]:
    return {"model": completion.model, "created_at": timestamp(completion.created_s)}


def _content(choice: Choice) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Return reasoning, text and calls. A call with invalid JSON is not recognized as a call and becomes text."""
    text = list(choice.tokens) or split_tokens(choice.refusal or "")
    calls = []
    for index, call in enumerate(choice.calls):
        arguments = call.arguments_object()
        if arguments is None:
            text += split_tokens(f'{{"name": "{call.name}", "parameters": {call.arguments}')
        else:
            function = {"index": index, "name": call.name, "arguments": arguments}
            calls.append({"id": call.id, "function": function})
    return choice.reasoning, text, calls


def _message(
    request: OllamaRequest, text: str, reasoning: str = "", calls: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    thinking = {"thinking": reasoning} if reasoning else {}
    if not request.is_chat:
        return {"response": text, **thinking}
    message: dict[str, Any] = {"role": "assistant", "content": text, **thinking}
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def _end(request: OllamaRequest, completion: Completion) -> dict[str, Any]:
    reason = _REASONS.get(completion.choices[0].finish_reason or "")
    prompt_ns = completion.prompt_tokens * _NS_PER_TOKEN
    eval_ns = completion.output_tokens * _NS_PER_TOKEN
    return {
        "done": True,
        **({} if reason is None else {"done_reason": reason}),
        **({} if request.is_chat else {"context": list(range(completion.prompt_tokens))}),
        "total_duration": prompt_ns + eval_ns + _NS_PER_TOKEN,
        "load_duration": _NS_PER_TOKEN,
        "prompt_eval_count": completion.prompt_tokens,
        "prompt_eval_duration": prompt_ns,
        "eval_count": completion.output_tokens,
        "eval_duration": eval_ns,
    }


def _lines(request: OllamaRequest, completion: Completion) -> Iterator[dict[str, Any]]:
    head = _head(completion)
    reasoning, text, calls = _content(completion.choices[0])
    for piece in reasoning:
        yield {**head, **_message(request, "", piece), "done": False}
    for piece in text:
        yield {**head, **_message(request, piece), "done": False}
    for call in calls:
        yield {**head, **_message(request, "", calls=[call]), "done": False}
    yield {**head, **_message(request, ""), **_end(request, completion)}
