"""Ids sort by their time and do not repeat."""

import re
import time

from intellirouter.core import new_id


def test_id_is_a_prefix_and_32_hexadecimal_digits() -> None:
    assert re.fullmatch(r"req_[0-9a-f]{32}", new_id("req_"))


def test_ids_are_unique() -> None:
    assert len({new_id("") for _ in range(20_000)}) == 20_000


def test_id_contains_its_time() -> None:
    before = time.time_ns() // 1_000_000
    moment = int(new_id("x")[1:13], 16)
    assert before <= moment <= time.time_ns() // 1_000_000


def test_ids_of_one_process_sort_by_creation() -> None:
    ids = []
    for _ in range(200):
        ids.append(new_id("req_"))
        moment = time.time_ns()
        while time.time_ns() - moment < 1_000:  # a request takes longer than this
            pass
    assert ids == sorted(ids)
