"""What a container or a service may use of its machine: the limits of Linux control groups, of either version.

Each group above the process's own limits it, too. In a container the own group's path may be the machine's, which is
not seen from inside; the limits are then those of the topmost group that is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePosixPath

#: Where the system shows them.
GROUPS = Path("/sys/fs/cgroup")
#: Which groups this process is in.
OWN_GROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest there are; infinite where there is none."""

    cores: float = inf
    memory_bytes: float = inf


def limits_of(own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> Limits:
    """Of this process. What cannot be read limits nothing."""
    found = [each for line in _text(own_groups).splitlines() for each in _limits_of_line(line, groups)]
    return Limits(
        min((each.cores for each in found), default=inf), min((each.memory_bytes for each in found), default=inf)
    )


def _limits_of_line(line: str, groups: Path) -> Iterator[Limits]:
    """`number:controllers:path`; version 2 has one tree for all controllers, and names none."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    for folder in _from_own_to_top(groups, path) if not controllers else ():
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        yield Limits(_number(quota) / _number(period, 1.0), _number(_text(folder / "memory.max")))
    for folder in _from_own_to_top(groups / "cpu", path) if "cpu" in controllers.split(",") else ():
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        yield Limits(cores=_number(quota) / _number(period, 1.0))
    for folder in _from_own_to_top(groups / "memory", path) if "memory" in controllers.split(",") else ():
        yield Limits(memory_bytes=_number(_text(folder / "memory.limit_in_bytes")))


def _from_own_to_top(top: Path, path: str) -> Iterator[Path]:
    own = PurePosixPath(path.lstrip("/"))
    for each in (own, *own.parents):
        yield top / each


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(text: str, otherwise: float = inf) -> float:
    """What is no number above zero is none: `max`, -1, nothing at all."""
    return float(text) if text.isdecimal() and int(text) else otherwise
