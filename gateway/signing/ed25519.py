"""Ed25519 over the header, as Binance's FIX gateways want it. Needs the package `cryptography`
(pip install 'fix-gateway[ed25519]').

`logon_options`: api_key_env or api_key_file, private_key_env or private_key_file (PEM, PKCS #8, no password), and
further fields such as 25035 (MessageHandling) by their tag.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.errors import ConfigError
from gateway.signing.logon import SOH, Logon, LogonField, raw_data

TAG_USERNAME = 553


def sign(logon: Logon) -> list[LogonField]:
    """RawData (96): base64 of the signature over MsgType, SenderCompID, TargetCompID, MsgSeqNum and SendingTime, joined
    by SOH; Username (553): the API key. Raises ConfigError."""
    signed = SOH.join(["A", logon.sender_comp_id, logon.target_comp_id, str(logon.seq), logon.sending_time])
    signature = base64.b64encode(_signature(logon, signed.encode()))
    more = [(int(tag), value) for tag, value in logon.options.items() if tag.isdecimal()]
    return [*raw_data(signature), (TAG_USERNAME, logon.secret("api_key")), *more]


def _signature(logon: Logon, data: bytes) -> bytes:
    try:
        key = load_pem_private_key(logon.secret("private_key"), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"session {logon.session!r}: logon_options.private_key is no Ed25519 key in PEM without a password"
        )
    return key.sign(data)
