"""The routes of media endpoints: requests are relayed with the upstream's model, responses are relayed unchanged."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from intellirouter.core import (
    EMPTY_CONTEXT,
    NO_USAGE,
    Call,
    Deployment,
    Operation,
    RequestContext,
    UpstreamRequest,
    Usage,
    errors,
    estimate_tokens,
)
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.calls import narrow_call
from intellirouter.dialects.error_causes import is_error_document
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai_media.forms import Form, read_form
from intellirouter.dialects.openai_media.json_instead_of_audio import JsonInsteadOfAudio
from intellirouter.dialects.openai_media.raw_stream import RawStream
from intellirouter.dialects.openai_media.usage import decode_media_usage
from intellirouter.dialects.protocols import Answer, Route, StreamRelay
from intellirouter.dialects.wire import large_json
from intellirouter.dialects.wire.json_edit import append_member, json_string, model_spans, replace
from intellirouter.dialects.wire.json_reader import missing
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_AUDIO_TYPES: Final = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/ogg",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
_UNKNOWN_TYPE: Final = b"application/octet-stream"
_RAW_AUDIO_TYPES: Final = frozenset({b"audio/pcm", _UNKNOWN_TYPE})
_TEXT_FORMATS: Final = frozenset({"text", "srt", "vtt"})
_SSE: Final = b"text/event-stream; charset=utf-8"
_ANSWER_MEMBERS: Final[Mapping[Operation, frozenset[str]]] = {
    "moderations": frozenset({"results"}),
    "images": frozenset({"data"}),
    "audio": frozenset({"text"}),
    "rerank": frozenset({"results", "data"}),
}
"""Each answer has one of these members."""


class MediaFields(ReservedMembers):
    """The members of a JSON request that the gateway reads. It does not validate the others."""

    model: str | None = None
    stream: bool | None = None
    response_format: str | None = None
    stream_format: str | None = None
    input: Any = None
    query: Any = None
    documents: Any = None
    prompt: Any = None


class MediaCall(Call, kw_only=True):
    source: Form | MediaFields


_decode_fields: Final = msgspec.json.Decoder(MediaFields)


class MediaPassthrough(Route):
    """One endpoint: decodes its requests, and is its own route. A pure value."""

    dialect = "openai_chat"
    is_local = False

    def __init__(
        self,
        operation: Operation,
        path: str,
        *,
        default_model: str = "",
        required: tuple[str, ...] = (),
        is_form: bool = False,
        is_audio: bool = False,
    ) -> None:
        """`path` is relative to the provider's base URL. `is_audio`: the answer is audio, not JSON."""
        self.operation = operation
        self._path = path
        self._default_model = default_model
        self._required = required
        self.is_form = is_form
        self._is_audio = is_audio

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> Call:
        """Read the part of the request that routing needs. Raises `InvalidRequest`."""
        source: Form | MediaFields
        if self.is_form:
            source = self._form(body, context)
            fields = MediaFields(
                model=source.value("model"),
                stream=source.value("stream") == "true",
                response_format=source.value("response_format"),
            )
        else:
            source = fields = decode_body(_decode_fields, body)
            for name in self._required:
                if getattr(fields, name, None) is None:
                    raise missing(name)
        model = fields.model or self._default_model
        check_model(model)
        is_stream, stream_type = self._stream(fields)
        return MediaCall(
            operation=self.operation,
            model=model,
            body=body,
            context=context,
            is_stream=is_stream,
            stream_type=stream_type,
            wants_usage=True,
            source=source,
        )

    def _form(self, body: bytes, context: RequestContext) -> Form:
        form = read_form(body, dict(context.headers).get("content-type", ""))
        names = {part.name.removesuffix("[]") for part in form.parts}
        for name in self._required:
            if name not in names:
                raise missing(name)
        return form

    def _stream(self, fields: MediaFields) -> tuple[bool, bytes]:
        if self._is_audio:
            if fields.stream_format == "sse":
                return True, _SSE
            return True, _AUDIO_TYPES.get(fields.response_format or "mp3", _UNKNOWN_TYPE)
        return bool(fields.stream), _SSE

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        name, source = deployment.upstream_model, _source_of(call)
        headers: tuple[tuple[str, str], ...] = ()
        if isinstance(source, Form):
            body = call.body if name == source.value("model") else source.with_value("model", name)
            headers = (("content-type", f"multipart/form-data; boundary={source.boundary}"),)
        elif source.model is None:
            body = append_member(call.body, b'"model":' + json_string(name)) if call.body.strip(b"{} \r\n\t") else b"{}"
        elif name == source.model:
            body = call.body
        else:
            body = replace(
                call.body, model_spans(call.body, source.model, is_unique=call.is_checked), json_string(name)
            )
        return UpstreamRequest(path=self._path, body=body, headers=headers)

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:  # noqa: ARG002
        source = _source_of(call)
        if isinstance(source, Form) and source.value("response_format") in _TEXT_FORMATS:
            return Answer(self._estimated(call), content_type=b"text/plain; charset=utf-8")
        try:
            document = large_json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(
                f"The upstream returned an invalid response: {describe_json_error(error)}."
            ) from None
        if not isinstance(document, dict):
            raise errors.UpstreamMalformed("The upstream's response is not a JSON object.")
        if document.get("error") or self._is_error(document):
            raise upstream_errors.decode_error_in_200(body)
        usage = decode_media_usage(document, makes_images=self.operation == "images")
        return Answer(usage or self._estimated(call))

    def _is_error(self, document: dict[str, Any]) -> bool:
        """Return whether a document without an answer reports an error. Cohere's errors only have a `message`."""
        if not document.keys().isdisjoint(_ANSWER_MEMBERS[self.operation]):
            return False
        return is_error_document(document) or isinstance(document.get("message"), str)

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002
        return RawStream(
            is_sse=call.stream_type == _SSE,
            fallback_usage=self._estimated(call),
            makes_images=self.operation == "images",
        )

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:  # noqa: ARG002
        if not self._is_audio or call.stream_type == _SSE:
            return None
        may_be_audio = call.stream_type in _RAW_AUDIO_TYPES
        return JsonInsteadOfAudio(fallback_usage=self._estimated(call), may_be_audio=may_be_audio)

    def _estimated(self, call: Call) -> Usage:
        """Return the usage to assume if the upstream reports none. Moderations are free; otherwise the text counts."""
        if self.operation == "moderations":
            return NO_USAGE
        if isinstance(_source_of(call), Form):
            return Usage(is_estimated=True)
        return Usage(input_tokens=estimate_tokens(len(call.body)), is_estimated=True)

    decode_error = staticmethod(upstream_errors.decode_error)


def _source_of(call: Call) -> Form | MediaFields:
    return narrow_call(call, MediaCall).source


MEDIA_PASSTHROUGHS: Final[dict[str, MediaPassthrough]] = {
    "openai_moderations": MediaPassthrough(
        "moderations", "/moderations", default_model="omni-moderation-latest", required=("input",)
    ),
    "openai_images": MediaPassthrough(
        "images", "/images/generations", default_model="gpt-image-1", required=("prompt",)
    ),
    "openai_image_edits": MediaPassthrough(
        "images", "/images/edits", default_model="gpt-image-1", required=("image", "prompt"), is_form=True
    ),
    "openai_image_variations": MediaPassthrough(
        "images", "/images/variations", default_model="dall-e-2", required=("image",), is_form=True
    ),
    "openai_speech": MediaPassthrough("audio", "/audio/speech", required=("input",), is_audio=True),
    "openai_transcriptions": MediaPassthrough("audio", "/audio/transcriptions", required=("file",), is_form=True),
    "openai_translations": MediaPassthrough("audio", "/audio/translations", required=("file",), is_form=True),
    "rerank": MediaPassthrough("rerank", "/rerank", required=("query", "documents")),
}
"""By the name of the endpoint."""
