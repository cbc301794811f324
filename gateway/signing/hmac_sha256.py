"""HMAC-SHA256 over the header and a passphrase, as Coinbase's FIX gateways want it.

`logon_options`: secret_env or secret_file (base64), passphrase_env or passphrase_file, and api_key_env or api_key_file
where the venue wants the key as Username (553).
"""

from __future__ import annotations

import base64
import binascii
import hmac

from gateway.errors import ConfigError
from gateway.signing.logon import SOH, Logon, LogonField, raw_data

TAG_USERNAME = 553
TAG_PASSWORD = 554


def sign(logon: Logon) -> list[LogonField]:
    """RawData (96): base64 of the HMAC over SendingTime, MsgType, MsgSeqNum, SenderCompID, TargetCompID and passphrase,
    joined by SOH; Password (554): the passphrase. Raises ConfigError."""
    passphrase = logon.secret("passphrase").decode()
    try:
        key = base64.b64decode(logon.secret("secret"), validate=True)
    except binascii.Error:
        raise ConfigError(f"session {logon.session!r}: logon_options.secret is not base64") from None
    signed = [logon.sending_time, "A", str(logon.seq), logon.sender_comp_id, logon.target_comp_id, passphrase]
    signature = base64.b64encode(hmac.digest(key, SOH.join(signed).encode(), "sha256"))
    username: list[LogonField] = []
    if "api_key_env" in logon.options or "api_key_file" in logon.options:
        username = [(TAG_USERNAME, logon.secret("api_key"))]
    return [*raw_data(signature), *username, (TAG_PASSWORD, passphrase)]
