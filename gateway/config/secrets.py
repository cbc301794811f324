"""Secrets come from the environment or from a file, and go nowhere but where they are needed."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import ConfigError

KEY_BYTES = 16


def read_secret(what: str, *, env: str | None, file: Path | None) -> bytes:
    """The secret named by an environment variable or a file; b"" if neither is given. Raises ConfigError.

    `what` names it in errors; the secret itself never stands in one.
    """
    if env is not None:
        value = os.environ.get(env)
        if not value:
            raise ConfigError(f"{what}: environment variable {env} is not set")
        return value.encode()
    if file is not None:
        try:
            content = file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{what}: {file} cannot be read: {error.strerror}") from None
        if not content:  # an empty secret would be no secret, and a door left open
            raise ConfigError(f"{what}: {file} is empty")
        return content
    return b""


def read_key(*, env: str | None, file: Path | None, what: str = "replication key") -> bytes:
    """The key of the replication, or of what is named: 32 hexadecimal digits. Raises ConfigError."""
    text = read_secret(what, env=env, file=file)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{what}: 32 hexadecimal digits are needed; make one with: "
            "python3 -c 'import secrets; print(secrets.token_hex(16))'"
        )
    return key
