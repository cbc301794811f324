"""Options that operators' commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path, typer.Option("--config", help="configuration file of the pair")]
NodeOption = Annotated[str, typer.Option("--node", help="a or b")]
