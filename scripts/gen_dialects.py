"""Write docs/reference/dialects.md from the golden cases of the dialects.

    python -m scripts.gen_dialects            write the page
    python -m scripts.gen_dialects --check    fail if the page is out of date

Every cell is the result of running the cases for the feature. tests/support/dialects/features.py runs them.
"""

import sys
from pathlib import Path
from typing import Any

from intellirouter.dialects import DIALECTS
from scripts.generated_files import write_or_check
from tests.support.dialects import features

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "dialects.md"
TITLES = {spec.name: spec.title for spec in DIALECTS if spec.chat is not None}
SYMBOLS = {"honored": "●", "emulated": "◐", "nearest": "≈", "reported": "○", "refused": "✕"}
HEAD = """# Dialects

<!-- Written by scripts/gen_dialects.py from tests/fixtures/dialects; do not edit. -->

What happens to each feature between each client dialect and each upstream dialect. Every cell shows what the gateway
does with the golden cases for that feature, for the vendor's own endpoint and a current model.

| | |
|---|---|
| ● | honored: it arrives with the same meaning |
| ◐ | emulated: the gateway does it itself and reports that in `x-intellirouter-dropped` |
| ○ | reported: it is converted, clamped or dropped, and `x-intellirouter-dropped` reports that |
| ≈ | approximated: the client gets the nearest value that its dialect has |
| ✕ | refused: another deployment is tried; without one, the error is `unsupported_feature` |
| \\* | most cases have this outcome, some have another |

An empty cell has no case. When client and upstream use the same dialect, the bytes pass through unchanged.
"""


def _table(rows: dict[str, dict[str, Any]], order: list[str], upstreams: list[str]) -> str:
    lines = [
        "| feature | " + " | ".join(TITLES[name] for name in upstreams) + " | cases |",
        "|---|" + ":-:|" * len(upstreams) + "--:|",
    ]
    for feature in order:
        if feature not in rows:
            continue
        cells = [rows[feature].get(name) for name in upstreams]
        marks = ["" if cell is None else SYMBOLS[cell.outcome] + ("" if cell.is_always else r"\*") for cell in cells]
        cases = max(cell.cases for cell in cells if cell is not None)
        lines.append(f"| `{feature}` | " + " | ".join(marks) + f" | {cases} |")
    return "\n".join(lines) + "\n"


def _counts(counts: dict[str, dict[str, int]]) -> str:
    kinds = list(next(iter(counts.values())))
    lines = ["| dialect | " + " | ".join(kinds) + " | all |", "|---|" + "--:|" * (len(kinds) + 1)]
    for dialect, by_kind in counts.items():
        numbers = [by_kind[kind] for kind in kinds]
        lines.append(f"| {TITLES[dialect]} | " + " | ".join(map(str, [*numbers, sum(numbers)])) + " |")
    total = [sum(by_kind[kind] for by_kind in counts.values()) for kind in kinds]
    lines.append("| **all** | " + " | ".join(map(str, total)) + f" | **{sum(total)}** |")
    return "\n".join(lines) + "\n"


def page() -> str:
    requests, answers = features.request_outcomes(), features.answer_outcomes()
    upstreams = list(features.UPSTREAMS)
    sections = [HEAD]
    for client in features.CLIENTS:
        sections += [
            f"\n## {TITLES[client]} clients\n\nRequests, by upstream:\n\n",
            _table(requests[client], list(features.REQUEST_FEATURES), upstreams),
            "\nAnswers, by upstream:\n\n",
            _table(answers[client], list(features.ANSWER_FEATURES), upstreams),
        ]
    sections += [
        "\n## Cases\n\nThe cases are in `tests/fixtures/dialects`. Streams are read whole and split at every byte.\n\n",
        _counts(features.case_counts()),
    ]
    return "".join(sections)


def main() -> int:
    return write_or_check({PAGE: page()}, __doc__)


if __name__ == "__main__":
    sys.exit(main())
