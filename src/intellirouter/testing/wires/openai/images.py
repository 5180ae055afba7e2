"""`/v1/images`: images of one pixel whose color depends on the prompt."""

import base64
import hashlib
import struct
import zlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.fake.openai.fields import optional
from intellirouter.fake.openai.replies import (
    EVENTS_WIRE,
    OpenAiError,
    bytes_reply,
    json_reply,
    not_allowed,
    stream_reply,
)
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.openai.forms import files_in, form_of, text_in
from intellirouter.testing.wires.openai.requests import body_of, model_of
from intellirouter.testing.wires.shared.request import WireRequest

MAX_IMAGES: Final = 10
MAX_PARTIAL_IMAGES: Final = 3
IMAGE_TOKENS: Final = 272
DEFAULT_MODEL: Final = "dall-e-2"
_ROOT: Final = "/images/"
_STORED: Final = "/images/kept/"


class _ImageRequest(Struct, kw_only=True):
    prompt: str
    model: str
    kind: str
    """`image_generation` or `image_edit`, the prefix of its events."""
    input_images: int = 0
    """The number of images in the request."""
    count: int = 1
    size: str = "1024x1024"
    response_format: str = "b64_json"
    is_stream: bool = False
    partial_images: int = 0


def images(request: WireRequest, path: str) -> Reply | None:
    if not path.startswith(_ROOT):
        return None
    if path.startswith(_STORED) and request.method == "GET":
        return _stored_image(path.removeprefix(_STORED))
    if request.method != "POST":
        raise not_allowed(request.method, request.path)
    match path.removeprefix(_ROOT):
        case "generations":
            fields = body_of(request)
            return _answer(request, _read_request(request, fields, "image_generation", images=0))
        case "edits" | "variations" as what:
            fields, count = _read_edit(request)
            if what == "variations":
                fields["prompt"] = "variation"
            return _answer(request, _read_request(request, fields, "image_edit", images=count))
    return None


def _read_edit(request: WireRequest) -> tuple[dict[str, Any], int]:
    """Return the fields and the number of images of a form, or of JSON that refers to images."""
    if request.headers.get("content-type", "").startswith("application/json"):
        fields = body_of(request)
        images = len(fields.get("images") or [])
    else:
        parts = form_of(request)
        fields = text_in(parts)
        for name in ("n", "partial_images"):
            if name in fields:
                fields[name] = int(fields[name]) if fields[name].isdecimal() else fields[name]
        fields["stream"] = fields.get("stream") == "true"
        images = len(files_in(parts, "image"))
    if not images:
        raise OpenAiError(400, "Missing required parameter: 'image'.", param="image", code="missing_required_parameter")
    return fields, images


def _read_request(request: WireRequest, fields: dict[str, Any], kind: str, *, images: int) -> _ImageRequest:
    model = model_of(request, {"model": DEFAULT_MODEL, **fields})
    prompt = optional(fields, "prompt", str)
    if not prompt:
        raise OpenAiError(
            400, "Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter"
        )
    is_new = not model.startswith("dall-e")
    response_format = optional(fields, "response_format", str)
    if response_format is not None and is_new:
        raise OpenAiError(
            400, "Unknown parameter: 'response_format'.", param="response_format", code="unknown_parameter"
        )
    if response_format not in (None, "url", "b64_json"):
        raise OpenAiError(400, f"Invalid value: '{response_format}'.", param="response_format", code="invalid_value")
    image_request = _ImageRequest(
        prompt=prompt,
        model=model,
        kind=kind,
        input_images=images,
        count=optional(fields, "n", int) or 1,
        size=optional(fields, "size", str) or "1024x1024",
        response_format="b64_json" if is_new else response_format or "url",
        is_stream=optional(fields, "stream", bool) or False,
        partial_images=optional(fields, "partial_images", int) or 0,
    )
    if not 1 <= image_request.count <= MAX_IMAGES:
        raise OpenAiError(400, f"Invalid 'n': expected 1 to {MAX_IMAGES}.", param="n", code="invalid_value")
    if not 0 <= image_request.partial_images <= MAX_PARTIAL_IMAGES:
        raise OpenAiError(400, "Invalid 'partial_images': expected 0 to 3.", param="partial_images")
    output = optional(fields, "output_format", str) or "png"
    if output != "png":
        raise OpenAiError(400, f"Invalid value: '{output}'. This vendor supports only 'png'.", param="output_format")
    return image_request


def _answer(request: WireRequest, image_request: _ImageRequest) -> Reply:
    if image_request.is_stream:
        return stream_reply([_event(document) for document in _events(request, image_request)], EVENTS_WIRE)
    images = []
    for index in range(image_request.count):
        color = _color(f"{image_request.prompt} {index}")
        if image_request.response_format == "url":
            host = request.headers.get("host", "localhost")
            images.append({"url": f"http://{host}/v1{_STORED}{color}.png", "revised_prompt": image_request.prompt})
        else:
            images.append({"b64_json": base64.b64encode(png(color)).decode()})
    document: dict[str, Any] = {"created": request.created_s, "data": images}
    if not image_request.model.startswith("dall-e"):
        document |= {"background": "opaque", "output_format": "png", "quality": "low", "size": image_request.size}
        document["usage"] = _usage(image_request)
    return json_reply(document)


def _usage(image_request: _ImageRequest) -> dict[str, Any]:
    text_tokens, image_tokens = count_tokens(image_request.prompt), IMAGE_TOKENS * image_request.input_images
    output = IMAGE_TOKENS * image_request.count
    return {
        "input_tokens": text_tokens + image_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": image_tokens},
        "output_tokens": output,
        "total_tokens": text_tokens + image_tokens + output,
    }


def _events(request: WireRequest, image_request: _ImageRequest) -> list[dict[str, Any]]:
    head = {
        "created_at": request.created_s,
        "size": image_request.size,
        "quality": "low",
        "background": "opaque",
        "output_format": "png",
    }
    events = []
    for index in range(image_request.partial_images):
        image = base64.b64encode(png(_color(f"{image_request.prompt} part {index}"))).decode()
        piece = {"b64_json": image, **head, "partial_image_index": index}
        events.append({"type": f"{image_request.kind}.partial_image", **piece})
    image = base64.b64encode(png(_color(f"{image_request.prompt} 0"))).decode()
    events.append(
        {"type": f"{image_request.kind}.completed", "b64_json": image, **head, "usage": _usage(image_request)}
    )
    return events


def _event(document: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), msgspec.json.encode(document))


def _color(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=3).hexdigest()


def _stored_image(name: str) -> Reply:
    color = name.removesuffix(".png")
    if len(color) != 6 or not set(color) <= set("0123456789abcdef"):
        raise OpenAiError(404, f"No such image: {name}")
    return bytes_reply("image/png", png(color))


def png(color: str) -> bytes:
    """Return an image of one pixel; `color` is six hexadecimal digits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00" + bytes.fromhex(color))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
