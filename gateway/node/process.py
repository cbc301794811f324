"""One gateway node as a process: builds it from the configuration, runs the reactor thread and the control thread.

The control thread is asyncio on uvloop; nothing on it is in the path of an order. It carries out the role machine's
requests to the register, serves the control API, writes logs and incident reports, and stops the node on SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import orjson
import structlog
import uvloop

from gateway.config import Config
from gateway.control.server import ControlServer
from gateway.errors import GatewayError
from gateway.journal.flusher import Flusher
from gateway.native.feeder import Feeder
from gateway.native.node import Note
from gateway.native.reactor import Command as ReactorCommand
from gateway.native.role import Command, RegisterOutcome, RegisterValue, Request
from gateway.node.build import INDEX, Assembly, assemble, etcd_options
from gateway.node.connections import Connections
from gateway.node.daychange import DayChange
from gateway.node.incident import Incident, IncidentRecorder
from gateway.node.latency import StageHistogram, read_stages
from gateway.node.logons import Logons
from gateway.node.notes import log_note, stop_text
from gateway.node.placement import check_core, freeze_memory, leave_core, take_core
from gateway.node.registrar import Registrar
from gateway.node.sessiontimes import Step
from gateway.node.sharedclients import SharedClients
from gateway.node.tasks import Tasks
from gateway.register import Register, open_register

log = structlog.get_logger("node")

STOP_TIMEOUT_S = 10.0
RECEIVERS_LOOKED_AT_S = 1.0
RECEIVER_SILENT_NS = 10_000_000_000
COMMAND_TIMEOUT_S = 5.0

ROLE_COMMANDS = {
    "takeover": Command.TAKEOVER,
    "switchover": Command.SWITCHOVER,
    "solo": Command.SOLO,
    "act-alone": Command.ACT_ALONE,
}
# session_command of node.pxd.
SESSION_COMMANDS = {"logout": 1, "resume": 2, "reset": 3, "set-seq": 4, "send-doubted": 5, "give-up-doubted": 6}
COMMAND_ERRORS = {
    -3: "the standby is not in sync",
    -4: "another change of role is under way",
    -5: "this node hears its peer as primary: it is not dead",
    -6: "the journal has no space now",
}


class CommandRefused(GatewayError):
    """The node did not carry out an operator's command."""


class NodeProcess:
    """A running node. `run()` returns after a clean stop; raises GatewayError when it cannot start."""

    def __init__(self, config: Config, node: str) -> None:
        self._config = config
        self._name = node
        cpu = config.node[node].cpu  # type: ignore[index]
        check_core(cpu, f"node.{node}.cpu")
        leave_core(cpu)
        self._assembly: Assembly = assemble(config, node)
        self._session_names = [session.name for session in config.session]
        self._client_names = [client.name for client in config.client]
        self._stops: dict[int, str] = {}  # why a session stopped, the latest time
        self._incidents = IncidentRecorder(node, self._session_names)
        reactor = self._assembly.reactor
        self._tasks = Tasks()  # which end by themselves,
        self._watches = Tasks()  # and which are ended
        try:
            self._connections = Connections(config, node, reactor, self._tasks)
            self._logons = Logons(config, reactor)
            path = config.node[node].shared_clients  # type: ignore[index]
            self._shared_clients = SharedClients(path, reactor) if path is not None else None
        except BaseException:
            self._assembly.close()
            raise
        self._incident_dir = self._assembly.data_dir / "incidents"
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._next_command = 1
        self._failure: str | None = None
        self._stopped: asyncio.Event
        self._registrar: Registrar

    def run(self) -> None:
        """Runs the node until SIGTERM or SIGINT. Journal and sockets are closed on return."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())
        if self._failure is not None:
            raise GatewayError(self._failure)

    # --- NodeControl: what the control API offers ---------------------------------------------------------------------

    def stages(self) -> dict[str, StageHistogram]:
        """How long each stage of an order took since the start."""
        return read_stages(self._assembly.node.stages())

    async def status(self) -> dict[str, Any]:
        """State of the node."""
        reactor = self._assembly.reactor
        status = self._assembly.node.status()
        status["reactor"] = {
            "turns": reactor.turns,
            "datagrams_received": reactor.datagrams_received,
            "datagrams_sent": reactor.datagrams_sent,
            "send_errors": reactor.send_errors,
            "refused_connections": reactor.refused_connections,
            "refused_sessions": reactor.refused_sessions,
        }
        for session in status["sessions"]:
            session["stopped_because"] = self._stops.get(session["index"]) if session["state"] == "STOPPED" else None
        status["door"] = self._connections.counters()
        feeder = self._assembly.feeder
        names = [{"name": section.name, "kind": section.kind} for section in self._config.receiver]
        fed = feeder.status() if feeder is not None else []
        status["receivers"] = [{**name, **state} for name, state in zip(names, fed, strict=True)]
        incident = self._incidents.current
        status["incident"] = incident.as_dict() if incident else None
        status["pid"] = os.getpid()
        return status

    async def command(self, name: str) -> dict[str, Any]:
        """Carries out takeover, switchover, solo or act-alone. Raises CommandRefused."""
        return await self._command(name, ReactorCommand.ROLE, a=ROLE_COMMANDS[name])

    async def session_command(self, session: str, name: str, arguments: dict[str, int]) -> dict[str, Any]:
        """Carries out logout, resume, reset or set-seq on one session. Raises CommandRefused."""
        if session not in self._session_names:
            raise CommandRefused(f"no session {session!r}; there are: {', '.join(self._session_names)}")
        return await self._command(
            f"{session}: {name}",
            ReactorCommand.SESSION,
            a=SESSION_COMMANDS[name],
            session=self._session_names.index(session),
            value_a=arguments.get("next_out", 0),
            value_b=arguments.get("next_in", 0),
        )

    async def kill_switch(self, client: str | None, killed: bool) -> dict[str, Any]:
        """Sets or clears the kill switch of one client, or of all. Raises CommandRefused."""
        names = [entry.name for entry in self._config.client]
        if client is not None and client not in names:
            raise CommandRefused(f"no client {client!r}; there are: {', '.join(names)}")
        number = names.index(client) + 1 if client is not None else 0
        return await self._command("kill switch", ReactorCommand.KILL, a=number, b=int(killed))

    # --- life ---------------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        section = self._config.node[self._name]  # type: ignore[index]
        self._stopped = asyncio.Event()
        assembly = self._assembly
        flusher = Flusher(
            assembly.journal,
            policy=self._config.journal.durability,
            interval_ns=self._config.journal.flush_interval,
            on_error=lambda text: loop.call_soon_threadsafe(self._journal_failed, text),
        )
        self._registrar = Registrar(self._open_register(), self._answer_register)
        control = ControlServer(self, section.control, section.control_token_file)
        day_change = DayChange(self._config, self._take_step)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_reader(assembly.reactor.notify_fileno, self._take_notes)
        flusher.start()
        await control.start()
        self._connections.start()
        day_change.start()
        reactor_thread = threading.Thread(target=self._run_reactor, name="reactor", daemon=True)
        reactor_thread.start()
        feeder_thread = self._start_feeder()
        if assembly.feeder is not None:
            self._watches.start(self._watch_receivers(assembly.feeder), "receivers are watched")
        if self._shared_clients is not None:
            self._watches.start(self._shared_clients.serve(), "clients in shared memory are taken on")
        freeze_memory()
        log.info("started", node=self._name, pid=os.getpid(), last_lsn=assembly.journal.last_lsn)
        try:
            await self._stopped.wait()
        finally:
            await self._watches.cancel()
            if self._shared_clients is not None:
                self._shared_clients.close()
            day_change.stop()
            self._connections.stop()
            await control.stop()
            await self._registrar.close()
            await self._tasks.finish()
            loop.remove_reader(assembly.reactor.notify_fileno)
            await asyncio.to_thread(reactor_thread.join, STOP_TIMEOUT_S)
            if assembly.feeder is not None and feeder_thread is not None:
                assembly.feeder.stop()
                await asyncio.to_thread(feeder_thread.join, STOP_TIMEOUT_S)
            await asyncio.to_thread(flusher.stop)
            assembly.close()
        log.info("stopped", node=self._name)

    def _open_register(self) -> Register:
        section = self._config.register_
        return open_register(
            section.kind,
            node=INDEX[self._name],
            peer=1 - INDEX[self._name],
            path=section.path if section.path is not None else self._assembly.data_dir / "register",
            alone=INDEX[section.act_alone] if section.act_alone else None,
            etcd=etcd_options(self._config) if section.kind == "etcd" else None,
            own_last_epoch=self._assembly.journal.last_epoch,
            timeout_s=section.timeout / 1e9,
        )

    def _run_reactor(self) -> None:
        take_core(self._config.node[self._name].cpu)  # type: ignore[index]
        self._assembly.reactor.run()

    async def _watch_receivers(self, feeder: Feeder) -> None:
        """A line when a receiver begins to hold the log of this primary, and when it is not heard of any more."""
        present = [False] * len(self._config.receiver)
        while True:
            await asyncio.sleep(RECEIVERS_LOOKED_AT_S)
            for i, state in enumerate(feeder.status()):
                silent_ns = state["heard_ago_ns"]
                there = state["joined"] and silent_ns is not None and silent_ns < RECEIVER_SILENT_NS
                if there != present[i] and (state["joined"] or present[i]):
                    present[i] = there
                    write = log.info if there else log.warning
                    what = "receiver_joined" if there else "receiver_lost"
                    write(what, receiver=self._config.receiver[i].name, holds_lsn=state["received_lsn"])

    def _start_feeder(self) -> threading.Thread | None:
        feeder = self._assembly.feeder
        if feeder is None:
            return None
        thread = threading.Thread(target=feeder.run, name="feeder", daemon=True)
        thread.start()
        return thread

    def _stop(self) -> None:
        log.info("stopping", node=self._name)
        self._assembly.reactor.command(ReactorCommand.STOP)

    def _journal_failed(self, text: str) -> None:
        log.error("journal_failed", error=text)

    # --- notes of the reactor -----------------------------------------------------------------------------------------

    def _take_notes(self) -> None:
        os.eventfd_read(self._assembly.reactor.notify_fileno)
        for note in self._assembly.node.take_notes():
            if isinstance(note, Request):
                self._registrar.submit(note)
                continue
            try:
                self._take_note(note)
            except Exception:  # the notes behind it, requests to the register among them, must not suffer from it
                log.exception("note_failed", note=note.code)

    def _take_note(self, note: Note) -> None:
        if note.code == "command_done":
            future = self._waiting.pop(note.b, None)
            if future is not None and not future.done():
                future.set_result(note.a)
            return
        if note.code in ("flush_wanted", "tail_settled"):
            self._tasks.start(self._flush(settled=note.code == "tail_settled"), "the journal is flushed")
            return
        self._connections.take(note)
        if note.code == "fill_logon":
            self._tasks.start(self._logons.fill(note), "a Logon is filled")
            return
        log_note(note, self._session_names, self._client_names)
        if stopped := stop_text(note):
            self._stops[note.session] = stopped
        if note.code == "unfit":
            self._failure = unfit_text(note, self._config)
            log.error("unfit", error=self._failure)
            self._stop()
            return
        if note.code == "stopped":
            self._stopped.set()
            return
        incident = self._incidents.take(note, self._numbers() if note.code == "promoted" else [])
        if incident is not None:
            self._write_incident(incident)

    async def _flush(self, *, settled: bool) -> None:
        try:
            await asyncio.to_thread(self._assembly.journal.flush)
            if settled:
                await asyncio.to_thread(self._assembly.journal.tail_settled)
        except GatewayError as error:  # the flusher meets and reports it too; until then nothing is sent
            self._journal_failed(str(error))

    def _numbers(self) -> list[tuple[int, int]]:
        """(next_out, next_in) of each session."""
        return [(session["next_out"], session["next_in"]) for session in self._assembly.node.status()["sessions"]]

    def _write_incident(self, incident: Incident) -> None:
        self._incident_dir.mkdir(parents=True, exist_ok=True)
        stem = self._incident_dir / f"epoch-{incident.epoch:06d}"
        _replace(stem.with_suffix(".json"), orjson.dumps(incident.as_dict(), option=orjson.OPT_INDENT_2))
        _replace(stem.with_suffix(".txt"), incident.as_text().encode())
        if incident.complete:
            log.warning("incident", report=str(stem.with_suffix(".json")))

    def _answer_register(self, request_id: int, outcome: RegisterOutcome, value: RegisterValue) -> None:
        self._assembly.reactor.command(
            ReactorCommand.REGISTER,
            id=request_id,
            a=outcome,
            value_a=value.version,
            value_b=value.epoch << 32 | value.primary << 8 | value.in_sync,
        )

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _command(self, name: str, kind: int, **arguments: int) -> dict[str, Any]:
        number = self._next_command
        self._next_command += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        log.warning("command", command=name)
        self._assembly.reactor.command(kind, id=number, **arguments)  # type: ignore[arg-type]  # none is `data`
        status = await asyncio.wait_for(future, COMMAND_TIMEOUT_S)
        status = status - (1 << 32) if status >= 1 << 31 else status
        if status != 0:
            state = self._assembly.node.status()
            raise CommandRefused(f"{name}: {refusal_text(name, status, state['role'].lower(), state['primary'])}")
        return {"command": name, "accepted": True}

    def _take_step(self, index: int, step: Step) -> None:
        log.info("schedule", session=self._session_names[index], step=step.order.name.lower())
        self._assembly.reactor.command(ReactorCommand.SESSION, a=step.order, session=index, value_a=step.value)


def refusal_text(command: str, status: int, role: str, primary: str | None) -> str:
    """Why a node in `role` refused an operator's command, and what would serve instead."""
    known = f"; the primary is node {primary}" if primary and role != "primary" else ""
    if command == "takeover" and status == -1:
        return f"this node is {role}, not standby"
    if command == "act-alone" and status == -1:
        return "this node is primary already"
    if command == "takeover" and status == -3:
        return "this node is not in sync and may lack records; if its peer is dead for good: `gateway act-alone`"
    if command.endswith(": set-seq") and status == -2:
        return "the session is connected: log it out first; and both numbers are needed, from 1"
    if status in (-1, -2):
        return f"this node is {role}, not primary{known}"
    return COMMAND_ERRORS.get(status, f"refused ({status})")


def unfit_text(note: Note, config: Config) -> str:
    """Why the log is not of this configuration (NOTE_UNFIT), and what to do about it."""
    kind, listed = ("session", config.session) if note.a in (1, 3) else ("client", config.client)
    if note.a in (1, 2):
        what = f"[[{kind}]] number {note.b + 1}, {listed[note.b].name!r}, is another one in the pair's log"
    else:
        what = f"the pair's log has a [[{kind}]] number {note.b + 1}, and this configuration has not"
    return f"{what}: keep them in the order in which the pair began with them, and add new ones at the end"


def _replace(path: Path, content: bytes) -> None:
    """Writes a whole file or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
