"""Tags of a Logon (35=A) that are not the configuration's to write."""

from __future__ import annotations

# The session writes these itself: standard header and trailer, EncryptMethod, HeartBtInt, and what its own keys give.
SESSION_TAGS = frozenset({8, 9, 10, 34, 35, 43, 49, 50, 52, 56, 57, 98, 108, 122, 141, 142, 143, 369, 464, 789, 1137})
# Password, NewPassword, EncryptedPassword, EncryptedNewPassword, RawData.
SECRET_TAGS = frozenset({96, 554, 925, 1402, 1404})
