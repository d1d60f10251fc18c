"""What a container or a service may use, as the kernel shows it."""

import pytest

from dicom_node.control_groups import Limits, limits_of

INFINITE = float("inf")
GIB = 2**30
V1_WITHOUT_LIMIT = "9223372036854771712\n"


@pytest.fixture
def limits(tmp_path):
    """Of a process in these groups, of which these files are seen."""

    def limits(own_groups, **files):
        (tmp_path / "own").write_text(own_groups)
        for name, content in files.items():
            file = tmp_path / "groups" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return limits_of(tmp_path / "own", tmp_path / "groups")

    return limits


def test_a_service_has_the_tightest_limit_of_the_groups_above_it(limits):
    """Version 2, as systemd sets MemoryMax and CPUQuota; a group without a limit says max."""
    found = limits(
        "0::/system.slice/node.service\n",
        **{
            "system.slice/node.service/memory.max": "max\n",
            "system.slice/node.service/cpu.max": "250000 100000\n",
            "system.slice/memory.max": f"{4 * GIB}\n",
            "system.slice/cpu.max": "max 100000\n",
        },
    )
    assert found == Limits(cores=2.5, memory_bytes=4 * GIB)


def test_a_container_sees_its_own_group_as_the_topmost(limits):
    """Version 2 in a name space of its own."""
    assert limits("0::/\n", **{"memory.max": f"{2 * GIB}\n"}) == Limits(INFINITE, 2 * GIB)


def test_a_container_whose_path_is_the_machines(limits):
    """Version 1: its own group is mounted where the path would begin."""
    found = limits(
        "5:cpu,cpuacct:/docker/0af3\n4:memory:/docker/0af3\n3:devices:/docker/0af3\n",
        **{
            "memory/memory.limit_in_bytes": f"{3 * GIB}\n",
            "cpu/cpu.cfs_quota_us": "150000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert found == Limits(1.5, 3 * GIB)


def test_groups_without_a_limit(limits):
    """Version 1 says -1 of cores, and a number beyond any memory."""
    found = limits(
        "5:cpu:/\n4:memory:/\n0::/\n",
        **{
            "memory/memory.limit_in_bytes": V1_WITHOUT_LIMIT,
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert found.cores == INFINITE
    assert found.memory_bytes > 2**60


@pytest.mark.parametrize("own_groups", ["", "nonsense", "0::/gone", "4:memory:/gone\n"])
def test_what_is_not_there_limits_nothing(limits, own_groups):
    """As on a system without control groups."""
    assert limits(own_groups) == Limits()
    assert limits(own_groups, **{"memory.max": "much\n", "cpu.max": "0 0\n"}) == Limits()
