"""`/v1/images`: pictures of one pixel, whose colour follows from the prompt."""

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
MAX_PARTIAL: Final = 3
IMAGE_TOKENS: Final = 272
DEFAULT_MODEL: Final = "dall-e-2"
_ROOT: Final = "/images/"
_KEPT: Final = "/images/kept/"


class _Wish(Struct, kw_only=True):
    prompt: str
    model: str
    kind: str
    """`image_generation` or `image_edit`: how its events are called."""
    images: int = 0
    """Pictures that came with the prompt."""
    count: int = 1
    size: str = "1024x1024"
    form: str = "b64_json"
    is_stream: bool = False
    partial: int = 0


def images(request: WireRequest, path: str) -> Reply | None:
    if not path.startswith(_ROOT):
        return None
    if path.startswith(_KEPT) and request.method == "GET":
        return _kept(path.removeprefix(_KEPT))
    if request.method != "POST":
        raise not_allowed(request.method, request.path)
    match path.removeprefix(_ROOT):
        case "generations":
            fields = body_of(request)
            return _answer(request, _wish(request, fields, "image_generation", images=0))
        case "edits" | "variations" as what:
            fields, count = _with_pictures(request)
            if what == "variations":
                fields["prompt"] = "variation"
            return _answer(request, _wish(request, fields, "image_edit", images=count))
    return None


def _with_pictures(request: WireRequest) -> tuple[dict[str, Any], int]:
    """Return fields and number of pictures of a form, or of JSON with references to pictures."""
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


def _wish(request: WireRequest, fields: dict[str, Any], kind: str, *, images: int) -> _Wish:
    model = model_of(request, {"model": DEFAULT_MODEL, **fields})
    prompt = optional(fields, "prompt", str)
    if not prompt:
        raise OpenAiError(
            400, "Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter"
        )
    is_new = not model.startswith("dall-e")
    form = optional(fields, "response_format", str)
    if form is not None and is_new:
        raise OpenAiError(
            400, "Unknown parameter: 'response_format'.", param="response_format", code="unknown_parameter"
        )
    if form not in (None, "url", "b64_json"):
        raise OpenAiError(400, f"Invalid value: '{form}'.", param="response_format", code="invalid_value")
    wish = _Wish(
        prompt=prompt,
        model=model,
        kind=kind,
        images=images,
        count=optional(fields, "n", int) or 1,
        size=optional(fields, "size", str) or "1024x1024",
        form="b64_json" if is_new else form or "url",
        is_stream=optional(fields, "stream", bool) or False,
        partial=optional(fields, "partial_images", int) or 0,
    )
    if not 1 <= wish.count <= MAX_IMAGES:
        raise OpenAiError(400, f"Invalid 'n': expected 1 to {MAX_IMAGES}.", param="n", code="invalid_value")
    if not 0 <= wish.partial <= MAX_PARTIAL:
        raise OpenAiError(400, "Invalid 'partial_images': expected 0 to 3.", param="partial_images")
    output = optional(fields, "output_format", str) or "png"
    if output != "png":
        raise OpenAiError(400, f"Invalid value: '{output}'. This vendor draws 'png' only.", param="output_format")
    return wish


def _answer(request: WireRequest, wish: _Wish) -> Reply:
    if wish.is_stream:
        return stream_reply([_event(document) for document in _events(request, wish)], EVENTS_WIRE)
    pictures = []
    for index in range(wish.count):
        colour = _colour(f"{wish.prompt} {index}")
        if wish.form == "url":
            host = request.headers.get("host", "localhost")
            pictures.append({"url": f"http://{host}/v1{_KEPT}{colour}.png", "revised_prompt": wish.prompt})
        else:
            pictures.append({"b64_json": base64.b64encode(png(colour)).decode()})
    document: dict[str, Any] = {"created": request.created_s, "data": pictures}
    if not wish.model.startswith("dall-e"):
        document |= {"background": "opaque", "output_format": "png", "quality": "low", "size": wish.size}
        document["usage"] = _usage(wish)
    return json_reply(document)


def _usage(wish: _Wish) -> dict[str, Any]:
    text, images = count_tokens(wish.prompt), IMAGE_TOKENS * wish.images
    output = IMAGE_TOKENS * wish.count
    return {
        "input_tokens": text + images,
        "input_tokens_details": {"text_tokens": text, "image_tokens": images},
        "output_tokens": output,
        "total_tokens": text + images + output,
    }


def _events(request: WireRequest, wish: _Wish) -> list[dict[str, Any]]:
    head = {
        "created_at": request.created_s,
        "size": wish.size,
        "quality": "low",
        "background": "opaque",
        "output_format": "png",
    }
    events = []
    for index in range(wish.partial):
        picture = base64.b64encode(png(_colour(f"{wish.prompt} part {index}"))).decode()
        piece = {"b64_json": picture, **head, "partial_image_index": index}
        events.append({"type": f"{wish.kind}.partial_image", **piece})
    picture = base64.b64encode(png(_colour(f"{wish.prompt} 0"))).decode()
    events.append({"type": f"{wish.kind}.completed", "b64_json": picture, **head, "usage": _usage(wish)})
    return events


def _event(document: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), msgspec.json.encode(document))


def _colour(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=3).hexdigest()


def _kept(name: str) -> Reply:
    colour = name.removesuffix(".png")
    if len(colour) != 6 or not set(colour) <= set("0123456789abcdef"):
        raise OpenAiError(404, f"No such picture: {name}")
    return bytes_reply("image/png", png(colour))


def png(colour: str) -> bytes:
    """Return a picture of one pixel; `colour` is six hexadecimal digits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00" + bytes.fromhex(colour))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
