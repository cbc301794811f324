"""TLS contexts: what is trusted, what is refused, and which file is to blame."""

from __future__ import annotations

import ssl

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from gateway.config.connections import ClientTls, ServerTls
from gateway.errors import ConfigError
from gateway.wire.tls import client_context, server_context
from tests.wire.certificates import PASSWORD, Certificates, encrypted


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def handshake(client, server, name):
    """Both sides' handshake in memory; the version, or the error of the side that refused."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = [False, False]
    for _ in range(20):
        for i, end in enumerate(ends):
            if not done[i]:
                try:
                    end.do_handshake()
                    done[i] = True
                except ssl.SSLWantReadError:
                    pass
        if all(done):  # a TLS 1.3 server tells only now that it refuses the client's certificate
            return ends[0].version()
    raise AssertionError("no end of the handshake")


def test_a_server_whose_authority_is_trusted_is_taken(certificates):
    cert, key = certificates.issue("broker.example")
    client = client_context(ClientTls(ca_file=certificates.ca_file), "tls")
    assert (
        handshake(client, server_context(ServerTls(cert_file=cert, key_file=key), "tls"), "broker.example") == "TLSv1.3"
    )


def test_certificates_are_verified_unless_told_otherwise(certificates):
    cert, key = certificates.issue("broker.example")
    server = server_context(ServerTls(cert_file=cert, key_file=key), "tls")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(ClientTls(), "tls"), server, "broker.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(ClientTls(ca_file=certificates.ca_file), "tls"), server, "other.example")


def test_no_verification_works_and_is_warned_of(certificates):
    cert, key = certificates.issue("broker.example")
    with capture_logs() as logs:
        client = client_context(ClientTls(insecure_no_verification=True), "session 'X': tls")
    assert logs[0]["log_level"] == "warning"
    assert logs[0]["where"] == "session 'X': tls"
    server = server_context(ServerTls(cert_file=cert, key_file=key), "tls")
    assert handshake(client, server, "whatever.example")


def test_no_verification_and_an_authority_exclude_each_other(certificates):
    with pytest.raises(ValidationError, match="exclude each other"):
        ClientTls(insecure_no_verification=True, ca_file=certificates.ca_file)


def test_there_is_no_switch_that_turns_verification_off_in_passing():
    with pytest.raises(ValidationError, match="verify"):
        ClientTls(verify=False)


def test_a_client_without_certificate_is_refused_where_one_is_required(certificates):
    cert, key = certificates.issue("broker.example")
    server = server_context(ServerTls(cert_file=cert, key_file=key, client_ca_file=certificates.ca_file), "tls")
    bare = client_context(ClientTls(ca_file=certificates.ca_file), "tls")
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(bare, server, "broker.example")
    own_cert, own_key = certificates.issue("us.example")
    ours = ClientTls(ca_file=certificates.ca_file, cert_file=own_cert, key_file=own_key)
    assert handshake(client_context(ours, "tls"), server, "broker.example")


def test_a_clients_certificate_of_another_authority_is_refused(certificates, tmp_path):
    cert, key = certificates.issue("broker.example")
    server = server_context(ServerTls(cert_file=cert, key_file=key, client_ca_file=certificates.ca_file), "tls")
    own_cert, own_key = Certificates(tmp_path, "other-ca").issue("us.example")
    ours = ClientTls(ca_file=certificates.ca_file, cert_file=own_cert, key_file=own_key)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(ours, "tls"), server, "broker.example")


def test_older_versions_than_the_minimum_are_refused(certificates):
    cert, key = certificates.issue("broker.example")
    server = server_context(ServerTls(cert_file=cert, key_file=key, minimum_version="1.3"), "tls")
    client = client_context(ClientTls(ca_file=certificates.ca_file), "tls")
    assert client.minimum_version == ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION"):
        handshake(client, server, "broker.example")


def test_an_encrypted_key_is_opened_with_its_password(certificates, monkeypatch, tmp_path):
    cert, key = certificates.issue("us.example")
    monkeypatch.setenv("KEY_PASSWORD", PASSWORD)
    client_context(ClientTls(cert_file=cert, key_file=encrypted(key), key_password_env="KEY_PASSWORD"), "tls")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    client_context(ClientTls(cert_file=cert, key_file=encrypted(key), key_password_file=tmp_path / "password"), "tls")


def test_an_encrypted_key_without_password_is_told_and_nobody_is_asked(certificates):
    cert, key = certificates.issue("us.example")
    with pytest.raises(ConfigError, match=r"tls.key_file: .*encrypted is encrypted: `key_password_env`"):
        client_context(ClientTls(cert_file=cert, key_file=encrypted(key)), "tls")


def test_a_wrong_password_is_told_and_not_shown(certificates, monkeypatch):
    cert, key = certificates.issue("us.example")
    monkeypatch.setenv("KEY_PASSWORD", "hunter2")
    with pytest.raises(ConfigError, match=r"tls.key_file: .*cannot be decrypted") as caught:
        client_context(ClientTls(cert_file=cert, key_file=encrypted(key), key_password_env="KEY_PASSWORD"), "tls")
    assert "hunter2" not in str(caught.value)


def test_the_key_of_another_certificate_is_told(certificates):
    cert, _ = certificates.issue("us.example")
    _, key = certificates.issue("them.example")
    with pytest.raises(
        ConfigError, match=r"tls.key_file: .*them.example.key is not the private key of .*us.example.crt"
    ):
        client_context(ClientTls(cert_file=cert, key_file=key), "tls")


@pytest.mark.parametrize("what", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_missing_or_something_else_is_told_by_key_and_name(certificates, tmp_path, what):
    cert, key = certificates.issue("us.example")
    good = {"ca_file": certificates.ca_file, "cert_file": cert, "key_file": key}
    with pytest.raises(ConfigError, match=rf"tls.{what}: .*/nowhere.pem cannot be read: No such file"):
        client_context(ClientTls(**(good | {what: tmp_path / "nowhere.pem"})), "tls")
    (tmp_path / "text.pem").write_text("hello\n")
    with pytest.raises(ConfigError, match=rf"tls.{what}: .*/text.pem holds no .*PEM"):
        client_context(ClientTls(**(good | {what: tmp_path / "text.pem"})), "tls")


def test_a_certificate_that_was_cut_off_is_told(certificates):
    cert, key = certificates.issue("us.example")
    cert.write_bytes(cert.read_bytes()[:200])
    with pytest.raises(ConfigError, match=r"tls: .*us.example.crt or .* is damaged"):
        client_context(ClientTls(cert_file=cert, key_file=key), "tls")


def test_an_acceptor_needs_a_certificate():
    with pytest.raises(ValidationError, match="`cert_file`"):
        ServerTls()


def test_a_password_in_the_file_is_refused_and_not_repeated():
    with pytest.raises(ValidationError, match="has no place in this file"):
        ClientTls(cert_file="x", key_password="hunter2")
