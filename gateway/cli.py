"""The `gateway` command. Only the module of the sub-command in use is imported."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from gateway import __version__
from gateway.errors import GatewayError

# Name: (module, function or Typer app, short help).
COMMANDS = {
    "node": ("gateway.node.cli", "node", "Run one node of the pair."),
    "broker-sim": ("gateway.broker.cli", "broker_sim", "Run the broker simulator."),
    "send": ("gateway.client.cli", "send", "Submit orders from a CSV file."),
    "demo": ("gateway.demo.cli", "demo", "Watch a pair survive the death of its primary."),
    "status": ("gateway.control.cli", "status", "Show the state of both nodes."),
    "latency": ("gateway.control.latency", "latency", "Show how long each stage of an order takes."),
    "takeover": ("gateway.control.cli", "takeover", "Make the standby primary now."),
    "switchover": ("gateway.control.cli", "switchover", "Hand over to the standby."),
    "solo": ("gateway.control.cli", "solo", "Go on without the standby."),
    "act-alone": ("gateway.control.cli", "act_alone", "Last resort: act without the whole log."),
    "receiver": ("gateway.receiver.cli", "receiver", "Run a receiver that is not waited for."),
    "drop-copy": ("gateway.receiver.cli", "drop_copy", "Follow the log, each message as a line of JSON."),
    "promote": ("gateway.receiver.cli", "promote", "Last resort: a disaster-recovery receiver becomes a node."),
    "session": ("gateway.control.cli", "session", "Log a session out or in, reset it, set its numbers."),
    "kill": ("gateway.control.cli", "kill", "Stop the orders of a client, or of all."),
    "sim": ("gateway.sim.cli", "sim", "Simulate the pair under every fault."),
    "chaos": ("gateway.chaos.cli", "chaos", "Let faults loose on a pair of real processes."),
    "journal": ("gateway.journal.cli", "app", "Inspect, verify and export a journal."),
    "config": ("gateway.config.cli", "app", "Check and show a configuration."),
    "bench": ("gateway.bench.cli", "bench", "Measure latencies on this host, beside the floor and other engines."),
    "doctor": ("gateway.doctor.cli", "doctor", "Check this host as a latency engineer would."),
}
HIDDEN = {
    "demo-client": ("gateway.demo.trader", "trade", "The demonstration's client."),
    "chaos-client": ("gateway.chaos.strategy", "strategy", "The client of a chaos run."),
}


def build_app(wanted: str | None) -> typer.Typer:
    """The command line with sub-command `wanted` in full and the others by name and help only."""
    app = typer.Typer(
        name="gateway",
        help="A FIX order gateway that runs as a hot-standby pair.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_top)
    for name, (module, attribute, text) in {**COMMANDS, **HIDDEN}.items():
        if name == wanted:
            target = getattr(importlib.import_module(module), attribute)
            if isinstance(target, typer.Typer):
                app.add_typer(target, name=name, help=text)
            else:
                app.command(name)(target)
        elif name in COMMANDS:
            app.command(name, help=text)(_elsewhere)
    return app


def main() -> None:
    """Runs the command line; a GatewayError, or a file that cannot be had, is one message and exit status 1."""
    wanted = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    try:
        build_app(wanted)()
    except GatewayError as error:
        sys.exit(_complain(str(error)))
    except OSError as error:
        if error.filename is None:  # not about a file: a mistake of ours
            raise
        sys.exit(_complain(f"{error.filename}: {error.strerror}"))


def _complain(text: str) -> int:
    print(f"gateway: {text}", file=sys.stderr)
    return 1


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass  # the option's callback has done it: a command is required after this


def _elsewhere() -> None:
    """Stands for a sub-command that is not in use."""
