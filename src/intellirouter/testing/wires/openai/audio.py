"""`/v1/audio`: speech, transcriptions and translations."""

import base64
from typing import Any, Final

from intellirouter.fake.openai.fields import optional
from intellirouter.fake.openai.replies import (
    EVENTS_WIRE,
    OpenAiError,
    bytes_reply,
    json_reply,
    not_allowed,
    render_error,
    sse_event,
    stream_reply,
)
from intellirouter.fake.reply import Reply, WireFormat
from intellirouter.fake.tokens import count_tokens, split_tokens
from intellirouter.testing.wires.openai.audio_samples import duration_s, silence
from intellirouter.testing.wires.openai.forms import files_in, form_of, text_in
from intellirouter.testing.wires.openai.requests import body_of, model_of
from intellirouter.testing.wires.shared.request import WireRequest

MAX_INPUT_CHARS: Final = 4096
_TYPES: Final = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm"}
_FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")
_ENDINGS: Final = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
_ROOT: Final = "/audio/"


class _RawBytes:
    """A stream without documents."""

    def payload(self, part: bytes) -> bytes | None:
        del part
        return None

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        del like
        return payload


AUDIO_WIRE: Final = WireFormat(
    name="openai_audio",
    framing=_RawBytes(),
    is_sse=False,
    render_error=render_error,
    # Audio cannot carry an error: the stream ends.
    error_event=lambda _error, _at: b"",
    filler_event=(b"", b""),
    filler_comment=None,
)


def audio(request: WireRequest, path: str) -> Reply | None:
    if not path.startswith(_ROOT):
        return None
    if request.method != "POST":
        raise not_allowed(request.method, request.path)
    match path.removeprefix(_ROOT):
        case "speech":
            return _speech(request)
        case "transcriptions":
            return _transcription(request, is_translation=False)
        case "translations":
            return _transcription(request, is_translation=True)
    return None


def _speech(request: WireRequest) -> Reply:
    document = body_of(request)
    model_of(request, document)
    text = optional(document, "input", str)
    for name, value in (("input", text), ("voice", document.get("voice"))):
        if not value:
            raise _missing(name)
    if text is not None and len(text) > MAX_INPUT_CHARS:
        raise OpenAiError(400, f"Invalid 'input': at most {MAX_INPUT_CHARS} characters.", param="input")
    speed = document.get("speed") or 1
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise OpenAiError(400, "Invalid 'speed': expected 0.25 to 4.0.", param="speed", code="invalid_value")
    kind = optional(document, "response_format", str) or "mp3"
    if kind not in _TYPES:
        raise OpenAiError(
            400, f"Invalid value: '{kind}'. This vendor supports 'mp3', 'wav' and 'pcm'.", param="response_format"
        )
    tokens = count_tokens(text or "")
    pieces = silence(kind, tokens)
    if document.get("stream_format") == "sse":
        deltas = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces]
        usage = {"input_tokens": tokens, "output_tokens": tokens, "total_tokens": tokens * 2}
        return stream_reply(
            [sse_event(event) for event in [*deltas, {"type": "speech.audio.done", "usage": usage}]], EVENTS_WIRE
        )
    reply = bytes_reply(_TYPES[kind], *pieces, is_stream=True)
    reply.wire = AUDIO_WIRE
    return reply


def _missing(name: str) -> OpenAiError:
    return OpenAiError(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def _transcription(request: WireRequest, *, is_translation: bool) -> Reply:
    parts = form_of(request)
    fields = text_in(parts)
    model = model_of(request, fields)
    files = files_in(parts, "file")
    if not files:
        raise _missing("file")
    name, content = files[0].filename or "", files[0].content
    if name.rpartition(".")[2].lower() not in _ENDINGS:
        raise OpenAiError(400, f"Unrecognized file format. Supported formats: {list(_ENDINGS)}", param="file")
    if not content:
        raise OpenAiError(400, "Audio file might be corrupted or unsupported", param="file", code="invalid_value")
    answer_format = fields.get("response_format", "json")
    if answer_format not in _FORMATS:
        raise OpenAiError(400, f"Invalid value: '{answer_format}'.", param="response_format", code="invalid_value")
    if model.startswith("gpt-") and answer_format not in ("json", "text"):
        raise OpenAiError(
            400,
            f"response_format '{answer_format}' is not compatible with model '{model}'. Use 'json' or 'text' instead.",
            param="response_format",
            code="unsupported_value",
        )
    text = f"{model}: {name}, {len(content)} bytes"
    if fields.get("stream") == "true" and not is_translation and not model.startswith("whisper"):
        return _streamed(text, content)
    language = "english" if is_translation else fields.get("language", "english")
    words = "word" in [part.text for part in parts if part.name == "timestamp_granularities[]"]
    options = {"language": language, "words": words, "is_translation": is_translation}
    return _render(answer_format, text, content, options)


def _usage(text: str, content: bytes) -> dict[str, Any]:
    audio_tokens, text_tokens = max(int(duration_s(content) * 10), 1), count_tokens(text)
    return {
        "type": "tokens",
        "input_tokens": audio_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens},
        "output_tokens": text_tokens,
        "total_tokens": audio_tokens + text_tokens,
    }


def _streamed(text: str, content: bytes) -> Reply:
    events = [{"type": "transcript.text.delta", "delta": piece} for piece in split_tokens(text)]
    done = {"type": "transcript.text.done", "text": text, "usage": _usage(text, content)}
    return stream_reply([sse_event(event) for event in [*events, done]], EVENTS_WIRE)


def _render(answer_format: str, text: str, content: bytes, options: dict[str, Any]) -> Reply:
    seconds = duration_s(content)
    match answer_format:
        case "json":
            return json_reply({"text": text, "usage": _usage(text, content)})
        case "text":
            return bytes_reply("text/plain; charset=utf-8", f"{text}\n".encode())
        case "srt":
            body = f"1\n00:00:00,000 --> {_timestamp(seconds, ',')}\n{text}\n\n\n"
            return bytes_reply("text/plain; charset=utf-8", body.encode())
        case "vtt":
            body = f"WEBVTT\n\n00:00:00.000 --> {_timestamp(seconds, '.')}\n{text}\n\n"
            return bytes_reply("text/plain; charset=utf-8", body.encode())
    document: dict[str, Any] = {
        "task": "translate" if options["is_translation"] else "transcribe",
        "language": options["language"],
        "duration": seconds,
        "text": text,
    }
    if options["words"]:
        document["words"] = [{"word": word, "start": 0.0, "end": seconds} for word in text.split()]
    else:
        document["segments"] = [_segment(text, seconds)]
    return json_reply({**document, "usage": {"type": "duration", "seconds": max(round(seconds), 1)}})


def _segment(text: str, seconds: float) -> dict[str, Any]:
    return {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": seconds,
        "text": f" {text}",
        "tokens": list(range(count_tokens(text))),
        "temperature": 0.0,
        "avg_logprob": -0.05,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }


def _timestamp(seconds: float, separator: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{separator}{milliseconds:03}"
