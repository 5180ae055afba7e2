"""`POST /v1/completions`: the older API for text completions."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion, CompletionRequest
from intellirouter.fake.models import ECHO, find_behavior
from intellirouter.fake.openai.chat_reply import FINGERPRINT, usage_of
from intellirouter.fake.openai.chat_request import at_least_one, stops_of
from intellirouter.fake.openai.fields import optional, wrong_type
from intellirouter.fake.openai.replies import DONE_EVENT, OpenAiError, json_reply, sse_event, stream_reply
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.openai.requests import body_of, model_of
from intellirouter.testing.wires.shared.request import WireRequest

DEFAULT_MAX_TOKENS: Final = 16
MAX_PROMPTS: Final = 64


class _Options(Struct, frozen=True, kw_only=True):
    is_stream: bool
    includes_usage: bool
    has_logprobs: bool
    echoed: tuple[str, ...]
    """The prompt that each choice repeats before its text, or an empty string."""


def completions(request: WireRequest, path: str) -> Reply | None:
    if path != "/completions":
        return None
    document = body_of(request)
    model = model_of(request, document)
    behavior = find_behavior(model) or ECHO
    if behavior.is_embedding_only:
        raise OpenAiError(
            404,
            "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use "
            "v1/chat/completions?",
            param="model",
        )
    prompts = _prompts(document.get("prompt"))
    limit = at_least_one(document, "max_tokens") or DEFAULT_MAX_TOKENS
    per_prompt = at_least_one(document, "n") or 1
    completions = [
        plan_completion(
            CompletionRequest(
                model=model,
                input_text=text,
                prompt_tokens=tokens,
                choice_count=per_prompt,
                stops=stops_of(document.get("stop")),
                max_tokens=limit,
            ),
            behavior,
            created_s=request.created_s,
        )
        for text, tokens in prompts
    ]
    is_echo = optional(document, "echo", bool) or False
    stream_options = optional(document, "stream_options", dict) or {}
    options = _Options(
        is_stream=optional(document, "stream", bool) or False,
        includes_usage=bool(stream_options.get("include_usage")),
        has_logprobs=optional(document, "logprobs", int) is not None,
        echoed=tuple(text if is_echo else "" for text, _ in prompts for _ in range(per_prompt)),
    )
    return _reply(options, _merged(completions))


def _prompts(value: Any) -> list[tuple[str, int]]:
    """Return text and token count of each prompt; the value is a text, a list of token numbers, or a list of either."""
    if value is None:
        return [("", 0)]
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise wrong_type("prompt", "a string, array of strings, array of tokens, or array of token arrays", value)
    if all(isinstance(item, int) for item in value):
        value = [value]
    if len(value) > MAX_PROMPTS:
        raise OpenAiError(400, f"Invalid 'prompt': at most {MAX_PROMPTS}.", param="prompt")
    found = []
    for item in value:
        if isinstance(item, str):
            found.append((item, count_tokens(item)))
        elif isinstance(item, list) and all(isinstance(token, int) for token in item):
            found.append((" ".join(f"#{token}" for token in item), len(item)))
        else:
            raise wrong_type("prompt", "a string, array of strings, array of tokens, or array of token arrays", item)
    return found


def _merged(completions: list[Completion]) -> Completion:
    return Completion(
        model=completions[0].model,
        created_s=completions[0].created_s,
        choices=[choice for completion in completions for choice in completion.choices],
        prompt_tokens=sum(completion.prompt_tokens for completion in completions),
        completion_tokens=sum(completion.completion_tokens for completion in completions),
    )


def _reply(options: _Options, completion: Completion) -> Reply:
    if options.is_stream:
        reply = stream_reply([*(sse_event(chunk) for chunk in _chunks(options, completion)), DONE_EVENT])
    else:
        choices = [
            _choice(options, index, [echoed, *choice.tokens], choice.finish_reason)
            for index, (echoed, choice) in enumerate(zip(options.echoed, completion.choices, strict=True))
        ]
        reply = json_reply({**_head(completion), "choices": choices, "usage": usage_of(completion)})
    reply.plan, reply.render = completion, partial(_reply, options)
    return reply


def _head(completion: Completion) -> dict[str, Any]:
    return {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": completion.created_s,
        "model": completion.model,
        "system_fingerprint": FINGERPRINT,
    }


def _choice(options: _Options, index: int, tokens: list[str], reason: str | None) -> dict[str, Any]:
    tokens = [token for token in tokens if token]
    logprobs = None
    if options.has_logprobs:
        offsets = [len("".join(tokens[:at])) for at in range(len(tokens))]
        logprobs = {
            "tokens": tokens,
            "token_logprobs": [-0.05] * len(tokens),
            "top_logprobs": [{token: -0.05} for token in tokens],
            "text_offset": offsets,
        }
    return {"text": "".join(tokens), "index": index, "logprobs": logprobs, "finish_reason": reason}


def _chunks(options: _Options, completion: Completion) -> Iterator[dict[str, Any]]:
    head = _head(completion)
    no_usage = {"usage": None} if options.includes_usage else {}
    per_choice = [
        _pieces(options, index, choice, echoed)
        for index, (echoed, choice) in enumerate(zip(options.echoed, completion.choices, strict=True))
    ]
    for row in zip_longest(*per_choice):
        for choice in row:
            if choice is not None:
                yield {**head, "choices": [choice], **no_usage}
    if options.includes_usage:
        yield {**head, "choices": [], "usage": usage_of(completion)}


def _pieces(options: _Options, index: int, choice: Choice, echoed: str) -> Iterator[dict[str, Any]]:
    for token in [echoed, *choice.tokens]:
        if token:
            yield _choice(options, index, [token], None)
    yield _choice(options, index, [], choice.finish_reason)
