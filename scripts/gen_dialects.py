"""Write docs/reference/dialects.md from the golden cases of the dialects. `--check` compares only.

Every cell is what the code does with the cases that name the feature: nothing here is written by hand. What is
measured, and how, stands in tests/support/dialects/features.py.
"""

import sys
from pathlib import Path
from typing import Any

from tests.support.dialects import features

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "dialects.md"
TITLES = {
    "openai_chat": "OpenAI chat",
    "openai_responses": "OpenAI responses",
    "anthropic_messages": "Anthropic",
    "gemini": "Gemini",
    "ollama": "Ollama",
    "bedrock": "Bedrock",
}
SYMBOLS = {"honoured": "●", "emulated": "◐", "nearest": "≈", "reported": "○", "refused": "✕"}
HEAD = """# Dialects

<!-- Written by scripts/gen_dialects.py from tests/fixtures/dialects; do not edit. -->

What becomes of each feature between each client's dialect and each upstream's. Every cell is what the gateway does with
the golden cases that are about the feature, for the vendor's own endpoint and a current model of it.

| | |
|---|---|
| ● | honoured: it arrives with the same meaning |
| ◐ | emulated: the gateway does it itself, and says so in `x-intellirouter-dropped` |
| ○ | reported: it is told otherwise, moved into a range, or has no effect, and `x-intellirouter-dropped` says so |
| ≈ | told by the nearest word that the client's dialect has |
| ✕ | refused: another deployment is tried; without one, the answer is `unsupported_feature` |
| \\* | most cases come out like this, some otherwise |

An empty cell has no case. Between equal dialects bytes pass as they came.
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
            f"\n## Clients of {TITLES[client]}\n\nWhat they ask, by upstream:\n\n",
            _table(requests[client], list(features.REQUEST_FEATURES), upstreams),
            "\nWhat they are told, by upstream:\n\n",
            _table(answers[client], list(features.ANSWER_FEATURES), upstreams),
        ]
    sections += [
        "\n## The cases\n\nThey stand in `tests/fixtures/dialects`; streams are read whole and cut at every byte.\n\n",
        _counts(features.case_counts()),
    ]
    return "".join(sections)


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE.relative_to(ROOT)} is stale")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
