"""Runs the real command, as an administrator would, in processes of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.settings import load_settings
from dicom_node.store import Store
from dicom_node.tables import status_json
from tests.builders import networks
from tests.builders.network import HOST, free_port

COMMAND = Path(sys.executable).parent / "dicom-node"
#: Models are loaded and two cores may be busy with other tests.
PATIENCE_S = 90.0


#: Importing these takes longer than most commands do; none computes or asks for its terminal when imported.
_LIBRARIES = ["highdicom", "pydantic", "pynetdicom", "rich.table", "torch", "torchvision", "typer"]
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(_LIBRARIES)


@dataclass(frozen=True)
class ServedNode:
    """A running `dicom-node serve`."""

    config: Path
    port: int
    log: Path
    process: subprocess.Popen[str]

    def studies(self) -> dict[str, dict[str, Any]]:
        """What `dicom-node status --json` tells, by Study Instance UID; in this process, since it is asked so often."""
        store = Store.open(load_settings(self.config, {}).database)
        try:
            told: list[dict[str, Any]] = json.loads(status_json(store.studies(500)))
        finally:
            store.close()
        return {study["study_instance_uid"]: study for study in told}

    def study(self, uid: str) -> dict[str, Any]:
        """One of them; empty while nothing of it has come."""
        return self.studies().get(uid, {})


def run(*arguments: object, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in a process forked from one that has the large libraries already."""
    told = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory(prefix="dicom-node-command-") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = _PROCESSES.Process(target=_be_the_command, args=(told, environment(), Path.cwd(), out, err))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(told, timeout)
        assert process.exitcode is not None
        return subprocess.CompletedProcess(told, process.exitcode, out.read_text("utf-8"), err.read_text("utf-8"))


def _be_the_command(arguments: list[str], variables: dict[str, str], folder: Path, out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, path, mode in ((0, Path(os.devnull), os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        descriptor = os.open(path, mode | (os.O_CREAT if number else 0), 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115  # multiprocessing has closed it
    sys.argv = [str(COMMAND), *arguments]
    from dicom_node.cli import main  # noqa: PLC0415  # what it finds out about its terminal is the forked process's

    main()


def write_config(
    folder: Path, pacs_port: int, *, port: int | None = None, quiet_seconds: float = 1
) -> tuple[Path, int]:
    """The smallest configuration of the manual, on a free port; the file and the port."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.yaml"
    path.write_text(
        f"node: {{ae_title: AINODE, host: {HOST}, port: {port}, storage: ./var}}\n"
        f"peers:\n  PACS: {{ae_title: PACS, host: {HOST}, port: {pacs_port}}}\n"
        "receive: {from: [PACS]}\n"
        "deliver: {to: [PACS]}\n"
        f"settle: {{quiet_seconds: {quiet_seconds}}}\n",
        encoding="utf-8",
    )
    return path, port


@contextmanager
def serving(config: Path, port: int) -> Iterator[ServedNode]:
    """`dicom-node serve` from its ready line to SIGTERM, after which it must end well."""
    settings = load_settings(config, {})
    log, storage = config.with_suffix(".log"), settings.node.storage
    # a second worker takes seconds of processor time to start; tests that need one ask for it
    few = {"DICOM_NODE_RUNTIME__WORKERS": str(settings.runtime.workers or 1)}
    networks.lend(storage)
    with log.open("a") as errors:
        process = subprocess.Popen(
            [str(COMMAND), "serve", "--config", str(config)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment() | few,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            try:
                assert process.stdout.readline() == f"ready AINODE@{HOST}:{port}\n", log.read_text()
                yield ServedNode(config, port, log, process)
            finally:
                process.send_signal(signal.SIGTERM)
                code = process.wait(60)
                networks.take_back(storage)
    assert code == 0, log.read_text()


def eventually(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Whether the condition comes true in time; it is looked at ten times a second."""
    never = threading.Event()
    for _ in range(int(patience_s * 10)):
        if condition():
            return True
        never.wait(0.1)
    return False


def environment() -> dict[str, str]:
    """The caller's, without settings of its own that would change the node's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DICOM_NODE_")}
