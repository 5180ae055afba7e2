"""What the dialect's requests look like as far as routing reads them, and its words for what is wrong with one.

Source: Anthropic API reference, "Create a Message" and "Count tokens in a Message". Members that are not named here
are read, if at all, when a request must be translated (`request_in`).
"""

import re
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from intellirouter.core import Call, errors
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.wire.json_reader import Reader
from intellirouter.dialects.wire.request_validation import decode_body, split_validation_error

T = TypeVar("T")

DIALECT: Final = "anthropic_messages"
VERSION: Final = "2023-06-01"
"""The API version whose requests we write. A client's own version goes along when its bytes are relayed."""
MESSAGES_PATH: Final = "/v1/messages"
COUNT_PATH: Final = "/v1/messages/count_tokens"

_ABSENT: Final = msgspec.Raw()


class BlockHead(Struct):
    type: str
    content: msgspec.Raw = _ABSENT


class MessageHead(Struct):
    role: str
    content: str | list[BlockHead]


class FormatHead(Struct):
    type: str | None = None


class OutputHead(Struct):
    format: FormatHead | None = None
    effort: str | None = None


class RequestHead(Struct):
    """The members whose types we answer for, whatever serves the request."""

    model: str
    messages: list[MessageHead]
    max_tokens: int | None = None
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    output_config: OutputHead | None = None
    output_format: FormatHead | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None


class MessagesCall(ConversationCall, kw_only=True):
    source: RequestHead


def source_of(call: Call) -> RequestHead:
    """Return the request as the client codec read it."""
    return narrow_call(call, MessagesCall).source


HEAD_DECODER: Final = msgspec.json.Decoder(RequestHead)
BLOCKS_DECODER: Final = msgspec.json.Decoder(list[BlockHead])

_MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]+)`")
_EXPECTED: Final = re.compile(r"Expected `(?P<expected>[^`|]+?)(?: \|[^`]*)?`, got")
_INDEX: Final = re.compile(r"\[(\d*)\]")
_WORDS: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "array": "list",
    "object": "dictionary",
}
_KINDS: Final = {"a string": "string", "a boolean": "boolean", "an array": "list", "an object": "dictionary"}
"""What `Reader` expects, in Anthropic's words."""


def read_body(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode a request body. Raises `InvalidRequest` in the words of Anthropic's API."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_body(decoder, body)  # raises, with the words for broken JSON


def _explain(text: str) -> errors.InvalidRequest:
    what, path = split_validation_error(text)
    path = _INDEX.sub(r".\1", path).strip(".")
    if missing := _MISSING.search(what):
        return missing_field(f"{path}.{missing['name']}" if path else missing["name"])
    if not path:
        return errors.InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if types := _EXPECTED.search(what):
        return wrong_type(path, _WORDS.get(types["expected"], types["expected"]))
    return errors.InvalidRequest(f"{path}: {what}.", code="invalid_value", param=path)


def missing_field(path: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{path}: Field required", code="missing_required_parameter", param=path)


def wrong_type(path: str, expected: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{path}: Input should be a valid {expected}", code="invalid_type", param=path)


class AnthropicReader(Reader):
    """Reads members with Anthropic's words for what is wrong."""

    def wrong_type(self, place: str, expected: str, value: Any) -> errors.InvalidRequest:  # noqa: ARG002
        return wrong_type(place, _KINDS[expected])

    def missing(self, place: str) -> errors.InvalidRequest:
        return missing_field(place)


READER: Final = AnthropicReader()


def objects(value: Any, path: str) -> list[dict[str, Any]]:
    """Return a list of objects; null is empty. Raises `InvalidRequest`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_type(path, "list")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong_type(f"{path}.{index}", "dictionary")
    return value
