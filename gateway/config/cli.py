"""`gateway config`: check and show a configuration. Reads only; starts nothing, connects to nothing."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.config.connections import tcp_of
from gateway.config.load import load_config
from gateway.config.models import Config
from gateway.config.secrets import read_key, read_secret
from gateway.config.show import as_toml, json_schema
from gateway.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Check and show a configuration. Nothing is started.")


class NodeName(StrEnum):
    """A node of the pair."""

    A = "a"
    B = "b"


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Configuration file of the pair.", show_default=False)],
    node: Annotated[
        NodeName | None,
        typer.Option(help="Also try each secret, certificate and socket option that this node needs, here and now."),
    ] = None,
) -> None:
    """Checks FILE and prints what is in force, defaults included. Exit status 1 and every problem if it is wrong."""
    config = load_config(file)
    found = check_secrets(config, node.value) + check_connections(config) if node else []
    typer.echo(as_toml(config), nl=False)
    for line in found:
        typer.echo(f"# {line}")


@app.command()
def schema() -> None:
    """Prints the JSON schema of the file, for editors and generators."""
    typer.echo(json.dumps(json_schema(), indent=2))


def check_secrets(config: Config, node: str) -> list[str]:
    """One line for each secret of node `node`, which is there and is not shown. Raises ConfigError."""
    replication, control = config.replication, config.node[node].control_token_file  # type: ignore[index]
    wanted = [("replication key", replication.key_env, replication.key_file)]
    wanted += [(f"token of client {c.name!r}", c.token_env, c.token_file) for c in config.client if c.has_token]
    wanted += [(f"password of session {s.name!r}", s.password_env, s.password_file) for s in config.session]
    wanted += [(f"key of receiver {r.name!r}", r.key_env, r.key_file) for r in config.receiver]
    keys = {"replication key", *(f"key of receiver {r.name!r}" for r in config.receiver)}
    wanted += [(f"control token of node {node}", None, control)]
    found, problems = [], []
    for what, env, file in wanted:
        if env is None and file is None:
            continue
        try:
            if what in keys:
                read_key(env=env, file=file, what=what)
            else:
                read_secret(what, env=env, file=file)
            found.append(f"{what}: ****, from {f'environment variable {env}' if env else file}")
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def check_connections(config: Config) -> list[str]:
    """Tries certificates, passwords of proxies and options of sockets; a line for each that works, or that the system
    cuts short. Raises ConfigError."""
    from gateway.wire.dialer import route_to  # noqa: PLC0415  (configuration is read without it)
    from gateway.wire.door import probe_door  # noqa: PLC0415
    from gateway.wire.tcpoptions import probe  # noqa: PLC0415

    found, problems = [], []
    for session in config.session:
        owner = f"session {session.name!r}"
        for endpoint in session.endpoints:
            try:
                route = route_to(endpoint, session.tcp, session.tls, session.connect_timeout, owner)
                found += probe(tcp_of(endpoint, session.tcp), route.where)
                if route.tls is not None:
                    found.append(f"{route.where}: TLS as configured, for {route.tls.server_name}")
            except ConfigError as error:
                problems.append(str(error))
    if any(session.role == "acceptor" for session in config.session):
        try:
            found += probe_door(config.acceptor, "acceptor")
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return found
