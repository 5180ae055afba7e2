"""Silent audio in several formats."""

import struct
from typing import Final

SAMPLE_RATE: Final = 24_000
SAMPLES_PER_TOKEN: Final = 2400
_MP3_HEAD: Final = b"\xff\xfb\x90\x00"
_MP3_FRAME_BYTES: Final = 417
"""The size of a frame of MPEG-1 layer III at 128 kbit/s and 44.1 kHz."""


def silence(kind: str, tokens: int) -> list[bytes]:
    """Return audio of a format (`wav`, `pcm` or `mp3`) in pieces, one per token."""
    if kind == "mp3":
        # A frame whose side information is all zero has no main data and is therefore silent.
        return [_MP3_HEAD + bytes(_MP3_FRAME_BYTES - len(_MP3_HEAD))] * tokens
    pieces = [bytes(SAMPLES_PER_TOKEN * 2)] * tokens
    return pieces if kind == "pcm" else [_wav_head(SAMPLES_PER_TOKEN * 2 * tokens), *pieces]


def _wav_head(data_bytes: int) -> bytes:
    fmt = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16)
    size = struct.pack("<I", 36 + data_bytes)
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", data_bytes)


def duration_s(data: bytes) -> float:
    """Return the duration of audio: read from the header for WAV, estimated for other formats."""
    if data[:4] == b"RIFF" and len(data) >= 44:
        rate = struct.unpack_from("<I", data, 28)[0] or 1
        return round((len(data) - 44) / rate, 2)
    return round(len(data) / 16_000, 2)
