"""Opens the register that the configuration names. May depend on every register; nothing else in the project does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from .base import Register
from .etcd import EtcdOptions, EtcdRegister
from .file import DEFAULT_TIMEOUT_S, FileRegister
from .static import StaticRegister

RegisterKind = Literal["etcd", "file", "static"]


def open_register(
    kind: str,
    *,
    node: int,
    peer: int,
    path: Path | str,
    alone: int | None = None,
    etcd: EtcdOptions | None = None,
    own_last_epoch: int = 0,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Register:
    """Open the register of `kind` for one node.

    `path`: for `file` the directory that both nodes share, for `static` a file in this node's data directory. `alone`:
    for `static`, the node index that may act alone. `etcd`: for `etcd`, where the cluster is. `own_last_epoch`: of this
    node's log. `timeout_s`: of one request.
    Raises ValueError that says what was found and what is allowed. Nothing is read or written before the first request.
    """
    if kind == "etcd":
        if etcd is None:
            raise ValueError("register kind 'etcd': `etcd` must say where the cluster is")
        return EtcdRegister(etcd, timeout_s=timeout_s)
    if kind == "file":
        return FileRegister(path, timeout_s=timeout_s)
    if kind == "static":
        if alone is None:
            raise ValueError(
                "register kind 'static': `alone` must name the node that may act alone when its peer is lost"
            )
        return StaticRegister(
            path, node=node, peer=peer, alone=alone, own_last_epoch=own_last_epoch, timeout_s=timeout_s
        )
    raise ValueError(f"register kind {kind!r}: must be one of {', '.join(get_args(RegisterKind))}")
