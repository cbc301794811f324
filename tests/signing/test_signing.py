"""What the hooks put into a Logon, checked as the venue would."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import ConfigError, GatewayError
from gateway.signing import Logon, ed25519, hmac_sha256, sha256_nonce
from gateway.signing.logon import encode, utc_timestamp

NS = 1_767_225_600_123_456_789  # 2026-01-01 00:00:00.123456789


def logon(**options: str) -> Logon:
    return Logon("VENUE", "FIX.4.4", "US", "THEM", 7, "20260101-00:00:00.123", NS, options)


@pytest.fixture
def secret(monkeypatch):
    def put(name: str, value: bytes) -> None:
        monkeypatch.setenv(name, value.decode())

    return put


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        (0, "20260101-00:00:00"),
        (3, "20260101-00:00:00.123"),
        (6, "20260101-00:00:00.123456"),
        (9, "20260101-00:00:00.123456789"),
    ],
)
def test_the_time_is_written_as_in_the_header(digits, text):
    assert utc_timestamp(NS, digits) == text


def test_hmac_over_header_and_passphrase(secret):
    secret("SECRET", base64.b64encode(b"key"))
    secret("PASSPHRASE", b"open sesame")
    fields = dict(hmac_sha256.sign(logon(secret_env="SECRET", passphrase_env="PASSPHRASE")))
    text = b"\x01".join([b"20260101-00:00:00.123", b"A", b"7", b"US", b"THEM", b"open sesame"])
    assert base64.b64decode(fields[96]) == hmac.digest(b"key", text, "sha256")
    assert (fields[95], fields[554]) == (str(len(fields[96])), "open sesame")
    assert 553 not in fields


def test_sha256_over_time_nonce_and_secret(secret):
    secret("SECRET", b"hush")
    options = {"client_id": "me", "client_secret_env": "SECRET"}
    fields, again = dict(sha256_nonce.sign(logon(**options))), dict(sha256_nonce.sign(logon(**options)))
    assert fields[96].startswith(b"1767225600123.")
    assert base64.b64decode(fields[554]) == hashlib.sha256(fields[96] + b"hush").digest()
    assert fields[553] == "me"
    assert fields[96] != again[96]


def test_ed25519_over_the_header(secret):
    key = Ed25519PrivateKey.generate()
    secret("API_KEY", b"public name")
    secret("PRIVATE", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    fields = dict(ed25519.sign(logon(**{"api_key_env": "API_KEY", "private_key_env": "PRIVATE", "25035": "1"})))
    signature = base64.b64decode(fields[96])
    key.public_key().verify(signature, b"A\x01US\x01THEM\x017\x0120260101-00:00:00.123")
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, b"A\x01US\x01THEM\x018\x0120260101-00:00:00.123")
    assert (fields[553], fields[25035]) == (b"public name", "1")


def test_what_is_missing_is_named_and_no_secret_is(secret):
    secret("SECRET", b"not base64 at all!")
    secret("PASSPHRASE", b"x")
    secret("KEY", b"no key")
    cases = [
        (hmac_sha256.sign, {"secret_env": "SECRET", "passphrase_env": "PASSPHRASE"}, "secret is not base64"),
        (hmac_sha256.sign, {}, "one of logon_options.passphrase_env and logon_options.passphrase_file"),
        (sha256_nonce.sign, {"client_secret_env": "SECRET"}, "logon_options.client_id is missing"),
        (ed25519.sign, {"private_key_env": "KEY", "api_key_env": "KEY"}, "private_key is no Ed25519 key"),
        (ed25519.sign, {"private_key_file": "/nowhere", "api_key_env": "KEY"}, "/nowhere cannot be read"),
    ]
    for sign, options, text in cases:
        with pytest.raises(ConfigError, match="session 'VENUE'") as caught:
            sign(logon(**options))
        assert text in str(caught.value)
        assert "not base64 at all" not in str(caught.value)


@pytest.mark.parametrize("field", [(34, "1"), (98, "0"), (0, "x"), (96, b"a\x01b"), (96, "")])
def test_a_hook_may_not_write_what_is_the_sessions_own(field):
    with pytest.raises(GatewayError, match=f"tag {field[0]}"):
        encode([field])
