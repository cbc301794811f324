"""Reads a configuration file and says everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.models import Config
from gateway.errors import ConfigError

MAX_SHOWN = 60
Model = TypeVar("Model", bound=BaseModel)


def load_config(path: Path) -> Config:
    """The configuration in `path`; relative paths in it are taken from its directory. Raises ConfigError."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in describe(error))) from None
    return anchored(config, path.resolve().parent)


def describe(error: ValidationError) -> list[str]:
    """One line for each problem: key, what was found, what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        key = _key(problem["loc"])
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        if problem["type"] == "missing":
            lines.append(f"{key}: missing, and required")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key{_suggestion(problem['loc'])}")
        elif isinstance(problem["input"], (dict, list)):
            lines.append(f"{key}: {message}" if key else message)
        else:
            found = repr(problem["input"])
            lines.append(f"{key}: found {found[:MAX_SHOWN]}, allowed: {message}")
    return lines


def _key(location: tuple[int | str, ...]) -> str:
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return key


def _suggestion(location: tuple[int | str, ...]) -> str:
    model: Any = Config
    for part in location[:-1]:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
            model = _inner_model(field.annotation) if field else None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ""
    names = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(str(location[-1]), names, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; allowed: {', '.join(names)}"


def _inner_model(annotation: Any) -> Any:
    """The model in `X`, `list[X]`, `dict[K, X]` or `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None


def anchored(model: Model, directory: Path) -> Model:
    """The same with relative paths made absolute: they count from `directory`."""
    changes: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            changes[name] = directory / value
        elif isinstance(value, BaseModel):
            changes[name] = anchored(value, directory)
        elif isinstance(value, list):
            changes[name] = [anchored(item, directory) if isinstance(item, BaseModel) else item for item in value]
        elif isinstance(value, dict):
            changes[name] = {k: _anchored_entry(k, item, directory) for k, item in value.items()}
    return model.model_copy(update=changes)


def _anchored_entry(key: str, value: Any, directory: Path) -> Any:
    """Of a table with free keys: one that ends in `_file` names a file."""
    if isinstance(value, BaseModel):
        return anchored(value, directory)
    return str(directory / value) if isinstance(value, str) and key.endswith("_file") else value
