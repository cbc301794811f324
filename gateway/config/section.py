"""What every table of a configuration file has in common. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def refuse_inline_secret(data: object, key: str) -> object:
    """For a validator before a table is read: a secret comes from the environment or a file. Raises ValueError."""
    if isinstance(data, dict) and key in data:
        raise ValueError(f"a password has no place in this file: use `{key}_env` or `{key}_file`")
    return data
