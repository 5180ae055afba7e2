"""Losses are reported once, with the field names of the client's dialect, and are safe in a header."""

from intellirouter.core import Loss, LossReport


def test_loss_is_an_item_of_a_structured_header() -> None:
    assert str(Loss("seed")) == "seed;how=dropped"
    assert str(Loss("response_format", "emulated", 'by "tool"\r\n')) == "response_format;how=emulated;as=\"by 'tool'\""


def test_field_has_its_name_in_the_client_dialect_and_is_reported_once() -> None:
    report = LossReport({"max_output_tokens": "max_tokens"})
    report.add("max_output_tokens", "clamped", "8192")
    report.dropped("max_output_tokens")
    report.dropped("seed")
    assert report.taken() == (Loss("max_tokens", "clamped", "8192"), Loss("seed"))
    assert report.name_of("max_output_tokens") == "max_tokens"
    assert report.name_of("seed") == "seed"


def test_number_of_losses_is_limited() -> None:
    report = LossReport()
    for number in range(1000):
        report.dropped(f"field{number}")
    assert len(report.taken()) == 64
