"""Decoding and encoding of images, audio, videos and files in content parts.

Source: OpenAI API reference, "Create chat completion" (content parts). vLLM and Gemini also have `video_url`.
"""

from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.ir import CacheMark, Media, Source
from intellirouter.dialects.wire.data_urls import read_data_url
from intellirouter.dialects.wire.json_reader import Members, missing, wrong_type
from intellirouter.dialects.wire.media_types import decoded_text, is_textual, type_of_name

_AUDIO_TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_AUDIO_FORMATS: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_EXTENSIONS: Final = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html"}


def media_part(kind: str, part: Members, cache: CacheMark | None) -> Media:
    """Decode a part of one of the types in `MEDIA_READERS`."""
    media = MEDIA_READERS[kind](part)
    media.cache = cache
    media.extras = part.rest()
    return media


def _image(part: Members) -> Media:
    url, detail = _url_of(part, "image_url")
    return Media(kind="image", source=_source_of_url(url, part.path_of("image_url.url")), detail=detail)


def _video(part: Members) -> Media:
    url, _ = _url_of(part, "video_url")
    return Media(kind="video", source=_source_of_url(url, part.path_of("video_url.url")))


def _url_of(part: Members, name: str) -> tuple[str, str]:
    value = part.take(name)
    if isinstance(value, str):  # Some clients send the URL itself.
        return value, ""
    if not isinstance(value, dict):
        raise missing(part.path_of(name)) if value is None else wrong_type(part.path_of(name), "an object", value)
    inner = Members(value, part.path_of(name))
    return inner.required("url"), inner.text("detail")


def _audio(part: Members) -> Media:
    inner = part.members("input_audio")
    data, format_ = inner.required("data"), inner.text("format") or "wav"
    if data.startswith("data:"):
        return Media(kind="audio", source=_source_of_url(data, inner.path_of("data")))
    return Media(kind="audio", source=Source(data=data, media_type=_AUDIO_TYPES.get(format_, f"audio/{format_}")))


def _file(part: Members) -> Media:
    inner = part.members("file")
    data, file_id, url, name = (inner.text(key) for key in ("file_data", "file_id", "file_url", "filename"))
    if data.startswith("data:") or (url and not data):
        source = _source_of_url(data or url, inner.path_of("file_data" if data else "file_url"))
    elif data:
        source = Source(data=data, media_type=type_of_name(name))
    elif file_id:
        source = Source(file_id=file_id)
    else:
        raise missing(inner.path_of("file_data"))
    return Media(kind="document", source=source, name=name)


MEDIA_READERS: Final = {"image_url": _image, "video_url": _video, "input_audio": _audio, "file": _file}


def _source_of_url(url: str, path: str) -> Source:
    """Return the source, which is the content of a data URL, or any other URL."""
    if not url.startswith("data:"):
        return Source(url=url)
    content = read_data_url(url)
    if content is None:
        raise errors.InvalidRequest(
            f"Invalid '{path}': a data URL needs a comma before its data, as in 'data:image/png;base64,...'.",
            code="invalid_value",
            param=path,
        )
    media_type, data = content
    return Source(data=data, media_type=media_type)


def data_url(source: Source, fallback: str) -> str:
    return f"data:{source.media_type or fallback};base64,{source.data}"


def encode_media(media: Media) -> dict[str, Any]:
    """Encode a part. Raises `UnsupportedFeature` for media that the dialect does not support."""
    match media.kind:
        case "image":
            part = _encode_image(media)
        case "audio":
            part = _encode_audio(media)
        case "video":
            part = {"type": "video_url", "video_url": {"url": _url(media, "video/mp4")}}
        case _:
            part = _encode_document(media)
    return part


def _encode_image(media: Media) -> dict[str, Any]:
    image = {"url": _url(media, "image/png")}
    if media.detail:
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def _url(media: Media, fallback: str) -> str:
    source = media.source
    if source.data is not None:
        return data_url(source, fallback)
    if source.url is None:
        raise _unsupported(f"{media.kind} input by file id")
    return source.url


def _encode_audio(media: Media) -> dict[str, Any]:
    source = media.source
    if source.data is None:
        raise _unsupported("audio input by URL or file id")
    media_type = source.media_type.partition(";")[0]
    format_ = _AUDIO_FORMATS.get(media_type) or media_type.rpartition("/")[2] or "wav"
    return {"type": "input_audio", "input_audio": {"data": source.data, "format": format_}}


def _encode_document(media: Media) -> dict[str, Any]:
    source = media.source
    if source.text is not None:
        title = f"{media.name}\n\n" if media.name else ""
        return {"type": "text", "text": f"{title}{source.text}"}
    if source.data is not None and is_textual(source.media_type):
        return {"type": "text", "text": _decoded_text(source.data, media.name)}
    if source.file_id is not None:
        return {"type": "file", "file": {"file_id": source.file_id}}
    if source.data is None:
        raise _unsupported("documents by URL")
    extension = _EXTENSIONS.get(source.media_type, source.media_type.rpartition("/")[2] or "pdf")
    # The name is required, and its extension determines the type of the file.
    name = media.name if "." in media.name else f"{media.name or 'document'}.{extension}"
    return {"type": "file", "file": {"filename": name, "file_data": data_url(source, "application/pdf")}}


def _decoded_text(data: str, name: str) -> str:
    text = decoded_text(data)
    if text is None:
        raise _unsupported("text documents that are not UTF-8 encoded as base64")
    return f"{name}\n\n{text}" if name else text


def _unsupported(what: str) -> errors.UnsupportedFeature:
    return errors.UnsupportedFeature(
        f"The upstream's API (OpenAI chat completions) does not support {what}.",
        param="messages[].content[]",
        hint="Send the content as base64, or use a model that accepts this content.",
    )
