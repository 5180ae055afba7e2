"""The end of a worker's output, as quoted in errors."""

from intellirouter.hosting.process import last_words


def test_the_last_lines_are_quoted() -> None:
    assert last_words([f"line {number}" for number in range(9)]) == (
        "Its last output: line 3 | line 4 | line 5 | line 6 | line 7 | line 8"
    )


def test_a_silent_worker_is_said_to_be_silent() -> None:
    assert last_words([]) == "It wrote nothing to standard error."


def test_control_characters_are_escaped_and_the_length_is_limited() -> None:
    assert last_words(["\x1b[31mred"]) == r"Its last output: \x1b[31mred"
    long = last_words(["a" * 2_000, "b" * 900, "the end"])
    assert long.startswith("Its last output: …")
    assert long.endswith("the end")
    assert len(long) < 1_100
