"""The media type of base64 data, by its first bytes."""

import base64

import pytest

from intellirouter.dialects.wire.media_types import media_type_of


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
