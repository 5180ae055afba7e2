"""Reads what the gateway needs of a complete answer that is relayed, in one decoding, and checks its texts."""

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors, new_id
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.adapt.repetition import MIN_REPETITION_CHARS, MIN_RUN_CHARS, check_text
from intellirouter.dialects.openai.usage import NOT_REPORTED
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.large_json import LARGE_BYTES, check_size


class AnswerKind(Struct, frozen=True):
    """What the answers of an endpoint are called."""

    object: str
    id_prefix: str


class Choice(Struct, gc=False):
    finish_reason: str | None = None
    error: Any = None


class RelayedAnswer(Struct, gc=False):
    id: Any = ""
    object: Any = ""
    created: Any = 0
    choices: tuple[Choice, ...] | None = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


class _Message(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _TextChoice(Choice):
    message: _Message | None = None
    text: str | None = None


class _TextAnswer(RelayedAnswer):
    """An answer with its texts. If they have a form that the gateway does not know, they are not checked."""

    choices: tuple[_TextChoice, ...] | None = None


_decode: Final = msgspec.json.Decoder(RelayedAnswer).decode
_decode_texts: Final = msgspec.json.Decoder(_TextAnswer).decode


def read_answer(body: bytes) -> RelayedAnswer:
    """Read an answer, with its texts if they are long enough to be runaway. Raises `UpstreamMalformed`."""
    try:
        if not body.isascii():
            body.decode()  # The decoder does not check the members that it skips.
        if len(body) > LARGE_BYTES:
            check_size(body, counts_values=False)
        return _decode(body) if len(body) < MIN_REPETITION_CHARS else _read_texts(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(
            f"The upstream returned an invalid chat completion: {describe_json_error(error)}."
        ) from None


def _read_texts(body: bytes) -> RelayedAnswer:
    try:
        return _decode_texts(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode(body)


def check_texts(body: bytes, choices: Sequence[Choice]) -> None:
    """Check the texts of an answer for runaway repetition. Raises `UpstreamMalformed`."""
    if len(body) < MIN_RUN_CHARS and len(choices) == 1 and choices[0].finish_reason != "length":
        return
    for choice in choices:
        if isinstance(choice, _TextChoice):
            is_at_limit = choice.finish_reason == "length"
            message = choice.message or _Message()
            for text in (message.content, message.reasoning_content, message.reasoning, choice.text):
                if text and len(text) >= MIN_REPETITION_CHARS:
                    check_text(text, is_at_limit=is_at_limit)


def with_members(body: bytes, kind: AnswerKind) -> bytes:
    """Return an answer whose choices have a finish reason, and whose other members have the types that clients read.

    A finish reason that is put in is not recorded: whether the answer is complete is unknown.
    """
    answer = msgspec.json.decode(body)
    known, created = answer.get("id", ""), answer.get("created", 0)
    if not isinstance(known, str):
        answer["id"] = new_id(kind.id_prefix) if known is None else str(known)
    if not isinstance(answer.get("object", ""), str):
        answer["object"] = kind.object
    if type(created) is not int:
        answer["created"] = int(created) if isinstance(created, float) else int(time.time())
    for choice in answer["choices"]:
        if choice.get("finish_reason") is None:
            choice["finish_reason"] = _implied_finish(choice.get("message"))
    return encode_document(answer)


def _implied_finish(message: Any) -> str:
    called = (name for name in ("tool_calls", "function_call") if isinstance(message, dict) and message.get(name))
    return next(called, "stop")
