"""Times in Ollama's format."""

import pytest

from intellirouter.dialects.ollama.wire import created_text, time_text
from intellirouter.dialects.wire.lenient import epoch_s


def test_times_are_encoded_and_decoded():
    assert time_text(1772600767_000000001) == "2026-03-04T05:06:07.000000001Z"
    assert created_text(1772600767) == "2026-03-04T05:06:07Z"
    assert epoch_s("2026-03-04T05:06:07.123456789Z") == 1772600767
    assert [epoch_s(text) for text in (None, "", "soon", "0001-01-01T00:00:00Z")] == [0, 0, 0, 0]


@pytest.mark.parametrize("epoch_s", [0, -5, 10**18])
def test_an_invalid_time_is_replaced_by_the_current_time(epoch_s, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    assert created_text(epoch_s) == "1970-01-01T00:00:01.000000000Z"
