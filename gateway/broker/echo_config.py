"""The file of `gateway broker-sim --mode echo`: sessions of one port, each with its version and its checks."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.config.connections import Acceptor
from gateway.config.load import anchored, describe
from gateway.errors import ConfigError
from gateway.native.dictionary import CHECKS

BeginString = Literal["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"]


class EchoSession(BaseModel):
    """`[[session]]`. The switches of validation are those of QuickFIX, in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target_comp_id: str = Field(min_length=1, max_length=63)
    begin_string: BeginString
    default_appl_ver_id: Literal["7", "8", "9"] = Field("9", description="FIXT.1.1: FIX50, FIX50SP1, FIX50SP2")
    validation: Literal["full", "session"] = Field("full", description="session: header, trailer and numbers alone")
    check_formats: bool = Field(True, description="formats of values, and values that are listed")
    check_fields_have_values: bool = True
    check_fields_out_of_order: bool = True
    check_user_defined_fields: bool = True
    check_unknown_fields: bool = True
    check_unknown_messages: bool = True
    check_required_fields: bool = True
    check_group_order: bool = True
    reset_on_logon: bool = False
    sending_time_tolerance: int = Field(120, ge=0, description="seconds; 0: any SendingTime")

    @property
    def checks(self) -> int:
        """Bit mask of the native checks."""
        if self.validation == "session":
            return 0
        switches = {
            "formats": self.check_formats,
            "values": self.check_fields_have_values,
            "order": self.check_fields_out_of_order,
            "user_fields": self.check_user_defined_fields,
            "unknown_fields": self.check_unknown_fields,
            "unknown_messages": self.check_unknown_messages,
            "required": self.check_required_fields,
            "group_order": self.check_group_order,
        }
        return sum(CHECKS[name] for name, wanted in switches.items() if wanted)


class EchoTemplate(EchoSession):
    """`[[template]]`: sessions that are made when somebody logs on to them."""

    target_comp_id: str = Field(min_length=1, max_length=63, description="a pattern: * is any text, ? any character")
    limit: int = Field(64, ge=1, le=65536, description="most sessions that are made")


class EchoConfig(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender_comp_id: str = Field(min_length=1, max_length=63)
    session: list[EchoSession] = []
    template: list[EchoTemplate] = []
    acceptor: Acceptor = Acceptor()

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.session and not self.template:
            raise ValueError("a [[session]] or a [[template]] is missing")
        return self


def load_echo_config(path: Path) -> EchoConfig:
    """The configuration in `path`; relative paths count from its directory. Raises ConfigError that names file and
    key."""
    try:
        config = EchoConfig.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, ValidationError):
            raise ConfigError("\n".join(f"{path}: {line}" for line in describe(error))) from None
        raise ConfigError(f"{path}: not TOML: {error}") from None
    identities = [(session.begin_string, session.target_comp_id) for session in config.session]
    for identity in identities:
        if identities.count(identity) > 1:
            raise ConfigError(f"{path}: session {':'.join(identity)} is there twice")
    return anchored(config, path.resolve().parent)
