"""A configuration as text: as TOML that loads to the same configuration, and its JSON schema. Pure.

There is no secret to mask in what is written here: a configuration holds the names of the variables and files that
secrets are in, and this module never looks at those.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.config.models import Config


def as_toml(config: Config) -> str:
    """Everything that is in force, defaults included; what is absent is left out."""
    return "\n".join(_table("", config.model_dump(mode="json", by_alias=True, exclude_none=True))).lstrip("\n") + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return Config.model_json_schema(by_alias=True)


def _table(path: str, content: dict[str, Any]) -> list[str]:
    """Lines of a table: plain values first, then the tables in it, as TOML wants it."""
    lines = [f"{key} = {_value(value)}" for key, value in content.items() if not _is_table(value)]
    for key, value in content.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            inner = _table(place, value)
            holds_values = any(not _is_table(item) for item in value.values())
            lines += ["", f"[{place}]", *inner] if holds_values else inner
        elif _is_table(value):
            for item in value:
                lines += ["", f"[[{place}]]", *_table(place, item)]
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _value(value: Any) -> str:
    """A plain value or a list of them. JSON's strings, numbers and booleans are TOML's as well."""
    return json.dumps(value, ensure_ascii=False)
