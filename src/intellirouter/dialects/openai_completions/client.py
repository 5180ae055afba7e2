"""Clients of legacy completions, as conversations: the prompt becomes a user message, the answer's text the completion.

Source: OpenAI API reference, "Create completion" and "The completion object".
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from intellirouter.core import EMPTY_CONTEXT, Call, LossReport, RequestContext, Usage, errors
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    Message,
    Refusal,
    RefusalDelta,
    Response,
    Stop,
    StreamStarted,
    Text,
    TextDelta,
    UsageUpdate,
)
from intellirouter.dialects.openai.client_errors import encode_error_event
from intellirouter.dialects.openai_chat.client_request import read_sampling
from intellirouter.dialects.openai_chat.client_response import encode_usage, finish_reason, response_head
from intellirouter.dialects.openai_completions.passthrough import CompletionRequest, CompletionsPassthrough, source_of
from intellirouter.dialects.protocols import StreamEncoder
from intellirouter.dialects.wire.json_reader import Members
from intellirouter.dialects.wire.request_validation import decode_body

DIALECT: Final = "openai_completions"
_DEFAULT_TOKENS: Final = 16
"""The API's default for `max_tokens`."""
_KIND: Final = "text_completion"
_PASSTHROUGH: Final = CompletionsPassthrough()
_ENCODE: Final = msgspec.json.Encoder().encode
_DONE: Final = b"data: [DONE]\n\n"
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])


class CompletionsClient:
    """Implements `protocols.ChatClient`."""

    dialect = DIALECT
    field_names: dict[str, str] = {  # noqa: RUF012 - required by the protocol
        "max_output_tokens": "max_tokens",
        "top_logprobs": "logprobs",
    }

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:
        return _PASSTHROUGH.decode_request(body, context)

    def decode(self, call: Call) -> Conversation:
        request = source_of(call)
        body: dict[str, Any] = decode_body(_decode_object, call.body)
        members = Members(body)
        for name in ("model", "prompt", "stream", "stream_options", "echo", "suffix"):
            members.take(name)
        count = members.integer("logprobs")
        conversation = Conversation(dialect=DIALECT, model=call.model)
        conversation.is_stream, conversation.wants_usage = call.is_stream, call.wants_usage
        conversation.messages = [Message(role="user", parts=[Text(text=_prompt(request))])]
        sampling = read_sampling(members)
        if sampling.max_output_tokens is None:
            sampling.max_output_tokens = _DEFAULT_TOKENS
        if count is not None:
            sampling.logprobs, sampling.top_logprobs = True, count
        if sampling.max_output_tokens == 0 or (request.echo and count is not None):
            raise _unsupported("the log probabilities of a prompt", "echo")
        conversation.sampling = sampling
        conversation.user = members.text("user")
        conversation.extras = members.rest()
        return conversation

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        body = response_head(response.id, response.created_s, response.model or call.model, _KIND)
        echo = _echo(call)
        body["choices"] = [_choice(choice, index, echo, losses) for index, choice in enumerate(response.choices)]
        if response.usage is not None:
            body["usage"] = encode_usage(response.usage)
        return _ENCODE(body)

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder:  # noqa: ARG002 - only text is encoded
        return CompletionStreamEncoder(call)


def _prompt(request: CompletionRequest) -> str:
    """Return the prompt. Raises `UnsupportedFeature` for requests that cannot be expressed as a conversation."""
    prompt = request.prompt
    if request.suffix:
        raise _unsupported("`suffix`, the text after the completion", "suffix")
    if isinstance(prompt, list):
        if not isinstance(prompt[0], str):
            raise _unsupported("prompts that consist of tokens", "prompt")
        if len(prompt) > 1:
            raise _unsupported("several prompts in one request", "prompt")
        prompt = prompt[0]
    if not prompt:
        raise errors.InvalidRequest(
            "You must provide a prompt.",
            code="missing_required_parameter",
            param="prompt",
        )
    return prompt


def _unsupported(what: str, param: str) -> errors.UnsupportedFeature:
    return errors.UnsupportedFeature(f"This model is served by a chat API, which does not support {what}.", param=param)


def _echo(call: Call) -> str:
    request = source_of(call)
    return _prompt(request) if request.echo else ""


def _finish_reason(stop: Stop | None) -> str:
    reason = finish_reason(stop, has_calls=False, has_refusal=False)
    return reason if reason in {"length", "content_filter"} else "stop"


def _choice(choice: Choice, index: int, echo: str, losses: LossReport) -> dict[str, Any]:
    texts = [echo] if echo else []
    tokens: list[Any] = []
    for part in choice.parts:
        if isinstance(part, Text | Refusal):
            texts.append(part.text)
            if isinstance(part, Text):
                tokens += part.logprobs or ()
        else:
            losses.dropped("choices[].text")
    return {
        "text": "".join(texts),
        "index": index,
        "logprobs": _logprobs(tokens, len(echo)) if tokens else None,
        "finish_reason": _finish_reason(choice.stop),
    }


def _logprobs(tokens: list[Any], offset: int) -> dict[str, Any]:
    """Convert the chat dialect's list of tokens to the four lists of this dialect."""
    valid = [token for token in tokens if isinstance(token, dict) and isinstance(token.get("token"), str)]
    offsets: list[int] = []
    for token in valid:
        offsets.append(offset)
        offset += len(token["token"])
    return {
        "tokens": [token["token"] for token in valid],
        "token_logprobs": [token.get("logprob") for token in valid],
        "top_logprobs": [
            {str(top["token"]): top.get("logprob") for top in _objects(token.get("top_logprobs")) if "token" in top}
            for token in valid
        ],
        "text_offset": offsets,
    }


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


class CompletionStreamEncoder:
    """Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._echo = _echo(call)
        self._head: dict[str, Any] = {}
        self._start = StreamStarted()
        self._usage: Usage | None = None
        self._chars: dict[int, int] = {}
        """The number of characters written, by choice."""

    def encode(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case StreamStarted():
                    self._start, self._usage = event, event.usage or self._usage
                case UsageUpdate():
                    self._usage = event.usage
                case TextDelta():
                    self._open(event.choice, out)
                    tokens = event.logprobs or []
                    logprobs = _logprobs(tokens, self._chars[event.choice]) if tokens else None
                    self._write(event.choice, event.text, out, logprobs=logprobs)
                case RefusalDelta():
                    self._open(event.choice, out)
                    self._write(event.choice, event.text, out)
                case ChoiceFinished():
                    self._open(event.choice, out)
                    self._write(event.choice, "", out, finish=_finish_reason(event.stop))
                case _:
                    pass  # Only text can be encoded.
        return b"".join(out)

    def _open(self, choice: int, out: list[bytes]) -> None:
        if choice not in self._chars:
            self._chars[choice] = 0
            if self._echo:
                self._write(choice, self._echo, out)

    def _write(
        self, choice: int, text: str, out: list[bytes], *, logprobs: Any = None, finish: str | None = None
    ) -> None:
        self._chars[choice] += len(text)
        delta = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": finish}
        out.append(self._chunk([delta], None))

    def _chunk(self, choices: list[Any], usage: Any) -> bytes:
        if not self._head:
            start = self._start
            self._head = response_head(start.id, start.created_s, start.model or self._call.model, _KIND)
        body = {**self._head, "choices": choices}
        if self._call.wants_usage:
            body["usage"] = usage
        return b"data: " + _ENCODE(body) + b"\n\n"

    def end(self) -> bytes:
        if not self._call.wants_usage or self._usage is None:
            return _DONE
        return self._chunk([], encode_usage(self._usage)) + _DONE

    def fail(self, error: errors.GatewayError) -> bytes:
        return encode_error_event(error)
