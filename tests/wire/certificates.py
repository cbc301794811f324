"""Certificates of a test: an authority, a server's, a client's; encrypted keys; all in a directory of their own."""

from __future__ import annotations

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

PASSWORD = "correct-horse"


class Certificates:
    """Files of one authority."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.ca_file = directory / f"{name}.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        """Files of a new certificate and its key."""
        issued = self.authority.issue_cert(*(identities or (name,)))
        cert, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key


def encrypted(key: Path) -> Path:
    """The same key under PASSWORD."""
    private = load_pem_private_key(key.read_bytes(), None)
    file = key.with_suffix(".encrypted")
    file.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))
    )
    return file
