"""Times and kinds of media."""

import base64

import pytest

from intellirouter.dialects.ollama.wire import created_text, epoch_of, media_type_of, time_text


def test_times():
    assert time_text(1772600767_000000001) == "2026-03-04T05:06:07.000000001Z"
    assert created_text(1772600767) == "2026-03-04T05:06:07Z"
    assert epoch_of("2026-03-04T05:06:07.123456789Z") == 1772600767
    assert [epoch_of(text) for text in (None, "", "soon", "0001-01-01T00:00:00Z")] == [0, 0, 0, 0]


@pytest.mark.parametrize("epoch_s", [0, -5, 10**18])
def test_an_impossible_time_is_now(epoch_s, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    assert created_text(epoch_s) == "1970-01-01T00:00:01.000000000Z"


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
def test_kinds_of_media(head, media_type):
    assert media_type_of(base64.b64encode(head + bytes(30)).decode()) == media_type


def test_what_is_no_base64_has_no_kind():
    assert media_type_of("§§§") == ""
    assert media_type_of("abcde") == ""
