"""The media type of base64 data, by its first bytes."""

import base64

import pytest

from intellirouter.dialects.wire.media_types import clean_base64, media_type_of, normalized, resolved_type


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"RIFF0000WEBP", "image/webp"),
        (b"RIFF0000WAVE", "audio/wav"),
        (b"RIFF0000AVI ", ""),
        (b"ID3", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"%PDF-1.7", "application/pdf"),
        (b"other", ""),
        (b"", ""),
    ],
)
def test_media_types_are_detected_by_their_first_bytes(head, media_type):
    assert media_type_of(base64.b64encode(head + bytes(30)).decode()) == media_type


def test_invalid_base64_has_no_media_type():
    assert media_type_of("§§§") == ""
    assert media_type_of("abcde") == ""


@pytest.mark.parametrize(
    ("written", "media_type"),
    [
        ("image/jpg", "image/jpeg"),
        ("IMAGE/PNG", "image/png"),
        (" image/png; charset=utf-8", "image/png"),
        ("audio/mp3", "audio/mpeg"),
        ("image/*", ""),
        ("application/octet-stream", ""),
        ("image/tiff", "image/tiff"),
        ("", ""),
    ],
)
def test_media_types_have_one_form(written, media_type):
    assert normalized(written) == media_type


@pytest.mark.parametrize(
    ("declared", "head", "kind", "media_type"),
    [
        ("image/jpeg", b"\x89PNG\r\n\x1a\n", "image", "image/png"),
        ("", b"\x89PNG\r\n\x1a\n", "image", "image/png"),
        ("application/octet-stream", b"%PDF-1.7", "document", "application/pdf"),
        ("text/plain", b"%PDF-1.7", "document", "application/pdf"),
        ("image/png", b"unknown", "image", "image/png"),
        ("image/png", b"BM", "image", "image/png"),  # two bytes prove nothing
        ("audio/aac", b"\xff\xf1", "audio", "audio/aac"),
        ("image/png", b"<svg xmlns", "image", "image/svg+xml"),
        ("", b"<?xml versi", "image", "image/svg+xml"),
        ("text/xml", b"<svg xmlns", "document", "text/xml"),
        ("image/png", b"\0\0\0\x18ftypheic", "image", "image/heic"),
        ("", b"unknown", "image", ""),
    ],
)
def test_unmistakable_bytes_count_more_than_the_declared_type(declared, head, kind, media_type):
    assert resolved_type(declared, base64.b64encode(head + bytes(30)).decode(), kind) == media_type


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("iVBORw==", "iVBORw=="),
        ("iVBORw", "iVBORw=="),
        (" iVB\nORw==\r\n", "iVBORw=="),
        ("-_-_", "+/+/"),
        ("", ""),
        ("@@@@", None),
        ("abcde", None),
        ("iVBÖ", None),
    ],
)
def test_base64_is_cleaned(data: str, expected: str | None) -> None:
    assert clean_base64(data) == expected
