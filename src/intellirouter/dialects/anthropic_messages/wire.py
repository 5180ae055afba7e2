"""The members of a request that routing reads, and validation errors with Anthropic's wording.

Source: Anthropic API reference, "Create a Message" and "Count tokens in a Message". All other members are read only if
a request is translated (`client_request`).
"""

import re
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from intellirouter.core import Call, errors
from intellirouter.core.json_errors import lower_first, missing_member, split_validation_error
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.wire.json_reader import Reader
from intellirouter.dialects.wire.request_validation import BodyDecoder, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers, reserved_member
from intellirouter.dialects.wire.unique_members import NOT_STREAMED, UniqueDecoder, UniqueModel, UniqueStream

T = TypeVar("T")

DIALECT: Final = "anthropic_messages"
VERSION: Final = "2023-06-01"
"""The API version of translated requests. In a passthrough, the client's version is sent."""
MESSAGES_PATH: Final = "/v1/messages"
COUNT_PATH: Final = "/v1/messages/count_tokens"

_MISSING_VALUE: Final = msgspec.Raw()


class BlockHead(Struct):
    type: str
    id: str | None = None
    tool_use_id: str | None = None
    content: msgspec.Raw = _MISSING_VALUE


class MessageHead(Struct):
    role: str
    content: str | list[BlockHead]


class FormatHead(Struct):
    type: str | None = None


class OutputHead(Struct):
    format: FormatHead | None = None
    effort: str | None = None


class RequestHead(ReservedMembers):
    """The members that are validated in every request, also in a passthrough."""

    model: UniqueModel
    messages: list[MessageHead]
    max_tokens: int | None = None
    stream: UniqueStream = NOT_STREAMED
    tools: list[msgspec.Raw] | None = None
    output_config: OutputHead | None = None
    output_format: FormatHead | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    container: Any = None
    """What a code execution has left. The upstream validates it."""


class MessagesCall(ConversationCall, kw_only=True):
    source: RequestHead


def source_of(call: Call) -> RequestHead:
    """Return the request as the client codec read it."""
    return narrow_call(call, MessagesCall).source


HEAD_DECODER: Final = UniqueDecoder(RequestHead)
BLOCKS_DECODER: Final = msgspec.json.Decoder(list[BlockHead])

_EXPECTED_TYPE: Final = re.compile(r"Expected `(?P<expected>[^`|]+?)(?: \|[^`]*)?`, got")
_INDEX: Final = re.compile(r"\[(\d*)\]")
_TYPE_NAMES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "array": "list",
    "object": "dictionary",
}
_READER_TYPE_NAMES: Final = {
    "a string": "string",
    "a boolean": "boolean",
    "an array": "list",
    "an object": "dictionary",
}
"""Anthropic's names for the types that `Reader` expects."""


def read_body(decoder: BodyDecoder[T], body: bytes) -> T:
    """Decode a request body. Raises `InvalidRequest` with Anthropic's wording."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain_validation_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_body(decoder, body)  # raises the error for invalid JSON


def _explain_validation_error(text: str) -> errors.InvalidRequest:
    problem, path = split_validation_error(text)
    path = _INDEX.sub(r".\1", path).strip(".")
    if (missing := missing_member(problem, path)) is not None:
        return missing_field(missing)
    if (reserved := reserved_member(path)) is not None:
        return reserved
    if not path:
        return errors.InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if types := _EXPECTED_TYPE.search(problem):
        return wrong_type(path, _TYPE_NAMES.get(types["expected"], types["expected"]))
    return errors.InvalidRequest(f"{path}: {lower_first(problem)}.", code="invalid_value", param=path)


def missing_field(path: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{path}: Field required", code="missing_required_parameter", param=path)


def wrong_type(path: str, expected: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{path}: Input should be a valid {expected}", code="invalid_type", param=path)


class AnthropicReader(Reader):
    """Reads members and raises errors with Anthropic's wording."""

    def wrong_type(self, place: str, expected: str, value: Any) -> errors.InvalidRequest:  # noqa: ARG002
        return wrong_type(place, _READER_TYPE_NAMES[expected])

    def missing(self, place: str) -> errors.InvalidRequest:
        return missing_field(place)


READER: Final = AnthropicReader()


def read_objects(value: Any, path: str) -> list[dict[str, Any]]:
    """Return a list of objects, which is empty for null. Raises `InvalidRequest`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_type(path, "list")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong_type(f"{path}.{index}", "dictionary")
    return value
