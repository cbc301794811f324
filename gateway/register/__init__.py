"""The register: the compare-and-set cell {epoch, primary, in_sync} that says who may act alone (DESIGN section 3)."""

from .base import Outcome, Register, RegisterCorrupt, RegisterError, RegisterUnavailable, RegisterValue, perform
from .factory import open_register

__all__ = [
    "Outcome",
    "Register",
    "RegisterCorrupt",
    "RegisterError",
    "RegisterUnavailable",
    "RegisterValue",
    "open_register",
    "perform",
]
