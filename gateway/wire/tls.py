"""TLS of one side, as an ssl.SSLContext from its section of the configuration.

Certificates are always verified, unless the configuration says in so many words that they are not. No error or warning
holds a key or a password.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from gateway.config.connections import ClientTls, ServerTls, Tls
from gateway.config.secrets import read_secret
from gateway.errors import ConfigError

log = structlog.get_logger("wire")

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
NO_PASSWORD = b""


def client_context(tls: ClientTls, where: str) -> ssl.SSLContext:
    """For connections that we make. `where` names the section in errors: session 'X': tls. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[tls.minimum_version]
    if tls.insecure_no_verification:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        log.warning(
            "tls_without_verification",
            where=where,
            meaning="anyone on the way can read and change everything; remove insecure_no_verification",
        )
    elif tls.ca_file is not None:
        _trust(context, tls.ca_file, f"{where}.ca_file")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if tls.cert_file is not None:
        _load_certificate(context, tls, where)
    return context


def server_context(tls: ServerTls, where: str) -> ssl.SSLContext:
    """For connections that we accept; with `client_ca_file`, a certificate is required of each client. Raises
    ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[tls.minimum_version]
    _load_certificate(context, tls, where)
    if tls.client_ca_file is not None:
        _trust(context, tls.client_ca_file, f"{where}.client_ca_file")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def server_name(tls: ClientTls, remote_name: str | None, host: str) -> str:
    """The name that the certificate must have: as configured, else what we connect to."""
    return tls.server_name or remote_name or host


def explain(error: Exception) -> str:
    """What went wrong in a TLS handshake, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not accepted: {error.verify_message}; check ca_file and server_name, or the "
            "other side's certificate"
        )
    if isinstance(error, ssl.SSLError):
        return f"it failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "not finished in time"
    if isinstance(error, ConnectionResetError | EOFError):
        return (
            "the other side closed in the middle of the TLS handshake; is it a TLS port, and is our certificate taken?"
        )
    return f"TLS handshake failed: {error.strerror if isinstance(error, OSError) else error}"


def _trust(context: ssl.SSLContext, file: Path, where: str) -> None:
    _readable(file, where)
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError):
        raise ConfigError(f"{where}: {file} holds no PEM certificate: -----BEGIN CERTIFICATE----- is wanted") from None


def _load_certificate(context: ssl.SSLContext, tls: Tls, where: str) -> None:
    assert tls.cert_file is not None
    _readable(tls.cert_file, f"{where}.cert_file")
    key = tls.key_file or tls.cert_file
    key_name = "key_file" if tls.key_file else "cert_file"
    _readable(key, f"{where}.{key_name}")
    password = read_secret(f"{where}: password of {key}", env=tls.key_password_env, file=tls.key_password_file)
    asked = False

    def give_password() -> bytes:
        nonlocal asked
        asked = True
        return password  # empty, if there is none: OpenSSL would ask the terminal otherwise

    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=give_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if asked and password == NO_PASSWORD:
            raise ConfigError(
                f"{where}.{key_name}: {key} is encrypted: `key_password_env` or `key_password_file` is missing"
            ) from None
        raise ConfigError(_mistake(error, tls, where, asked)) from None


def _mistake(error: Exception, tls: Tls, where: str, asked: bool) -> str:
    """What is wrong with certificate and key. OpenSSL's words alone do not tell which file it is about."""
    key = tls.key_file or tls.cert_file
    key_name = "key_file" if tls.key_file else "cert_file"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{where}.{key_name}: {key} is not the private key of the certificate in {tls.cert_file}"
    assert tls.cert_file is not None
    if b"-----BEGIN CERTIFICATE-----" not in tls.cert_file.read_bytes():
        return f"{where}.cert_file: {tls.cert_file} holds no PEM certificate: -----BEGIN CERTIFICATE----- is wanted"
    if asked:
        return f"{where}.{key_name}: {key} cannot be decrypted with the password that is configured"
    if key is not None and b"PRIVATE KEY-----" not in key.read_bytes():
        return f"{where}.{key_name}: {key} holds no private key in PEM: -----BEGIN PRIVATE KEY----- is wanted"
    return f"{where}: {tls.cert_file} or {key} is damaged: {getattr(error, 'reason', None) or type(error).__name__}"


def _readable(file: Path, where: str) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{where}: {file} cannot be read: {error.strerror}") from None
