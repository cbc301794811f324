"""Fields that a venue wants in a Logon beyond the standard ones: signatures, credentials made for this one Logon.

A session names its hook as `logon_hook = "module:function"`. The function is called with a `Logon` on a thread of its
own, off the path of orders, and returns the fields to add. The modules here sign as well-known venues want it; a hook
of your own is a module on the node's PYTHONPATH.
"""

from gateway.signing.logon import Logon, LogonField

__all__ = ["Logon", "LogonField"]
