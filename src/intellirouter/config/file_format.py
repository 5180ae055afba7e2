"""Recognizes a configuration file whose name does not fit its content."""

import re
from pathlib import Path as FilePath
from typing import Final

_TOML_TABLE: Final = re.compile(r"[ \t]*\[{1,2}[ \t]*[\w.\"' -]+[ \t]*\]{1,2}[ \t]*(#.*)?\Z")
_TOML_VALUE: Final = re.compile(r"[ \t]*[\w.\"'-]+[ \t]*=[ \t]*\S")
_YAML_VALUE: Final = re.compile(r"[\w.\"'-]+[ \t]*:([ \t]|\Z)")


def is_toml_name(path: FilePath) -> bool:
    """Return whether a file is read as TOML because of its name. All other files are read as YAML."""
    return path.suffix.lower() == ".toml"


def format_hint(path: FilePath, text: str, hint: str) -> str:
    """Return the hint for a file that is not valid: `hint`, or a better one if it seems to be in another format.

    JSON is valid YAML, so `.json` is a name for YAML.
    """
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if is_toml_name(path):
        written = "JSON" if first.lstrip().startswith("{") else "YAML" if _YAML_VALUE.match(first) else None
        if written is not None:
            return f"The name ends in .toml, so TOML is expected. If this is {written}, rename the file."
        return hint
    if _TOML_TABLE.match(first) or _TOML_VALUE.match(first):
        return "YAML is expected, and this seems to be TOML. If it is, give the file a name that ends in .toml."
    return f"JSON files are read as YAML. {hint}".rstrip() if path.suffix.lower() == ".json" else hint
