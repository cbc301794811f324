"""SHA-256 over a time stamp, a nonce and the secret, as Deribit's FIX gateway wants it.

`logon_options`: client_id, and client_secret_env or client_secret_file.
"""

from __future__ import annotations

import base64
import hashlib
import secrets

from gateway.signing.logon import Logon, LogonField, raw_data

TAG_USERNAME = 553
TAG_PASSWORD = 554
NONCE_BYTES = 32
NS_PER_MS = 10**6


def sign(logon: Logon) -> list[LogonField]:
    """RawData (96): ms since the Unix epoch, a dot, a nonce in base64; Username (553): client_id; Password (554):
    base64 of SHA-256 over RawData and the secret. Raises ConfigError."""
    nonce = base64.b64encode(secrets.token_bytes(NONCE_BYTES))
    raw = b"%d.%s" % (logon.sending_time_ns // NS_PER_MS, nonce)
    password = base64.b64encode(hashlib.sha256(raw + logon.secret("client_secret")).digest())
    return [*raw_data(raw), (TAG_USERNAME, logon.option("client_id")), (TAG_PASSWORD, password)]
