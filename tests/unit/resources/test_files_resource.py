"""File names in headers, and expiry times of files."""

import pytest

from intellirouter.core import errors
from intellirouter.resources.files.resource import _disposition, expiry_seconds


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("plain.jsonl", b'attachment; filename="plain.jsonl"'),
        ('a"b\\c', b"attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        ("../é/\U0001f600", b"attachment; filename=\"../_/_\"; filename*=UTF-8''..%2F%C3%A9%2F%F0%9F%98%80"),
        ("\udce9", b"attachment; filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
def test_any_file_name_is_a_valid_header(name: str, header: bytes) -> None:
    assert _disposition(name) == header


@pytest.mark.parametrize("seconds", [3600, 2_592_000])
def test_files_expire_after_an_hour_to_thirty_days(seconds: int) -> None:
    assert expiry_seconds(seconds) == seconds


@pytest.mark.parametrize("seconds", [None, True, "3600", 3599, 2_592_001, -1, 3600.5])
def test_other_expiry_times_are_rejected(seconds: object) -> None:
    with pytest.raises(errors.InvalidRequest, match="3600") as caught:
        expiry_seconds(seconds, "output_expires_after")
    assert caught.value.param == "output_expires_after[seconds]"
