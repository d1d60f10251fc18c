"""How slow and how large a caller may be before the node ends the connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """How slow and how large a caller may be."""

    #: From the connection to the whole association request (ARTIM, PS3.8 9.1.4).
    artim_s: float = 30.0
    #: For a PDU to come whole, and for the next one to begin.
    idle_s: float = 120.0
    #: One C-STORE request.
    object_bytes: int = 2 << 30
