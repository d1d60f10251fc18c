"""The worker processes of a node, each with its share of the processors: one a worker, or on a GPU one for all."""

from __future__ import annotations

import time
from dataclasses import replace

from dicom_node.bell import Ringer
from dicom_node.capacity import share_of, this_machine
from dicom_node.settings import Settings
from dicom_node.worker_process import WorkerProcess


class Workers:
    """Woken by `tick`, like the one process of each; `results` is rung when some wait. Safe for many threads."""

    def __init__(self, settings: Settings, results: Ringer) -> None:
        runtime = settings.runtime
        machine = this_machine() if runtime.device != "cpu" else replace(this_machine(), has_gpu=False)
        share = share_of(machine, workers=runtime.workers, threads=runtime.threads)
        shared = runtime.model_copy(update={"workers": share.workers, "threads": share.threads})
        settings = settings.model_copy(update={"runtime": shared})
        self._processes = tuple(
            WorkerProcess(settings, results, share.workers // share.processes) for _ in range(share.processes)
        )

    def tick(self) -> None:
        """See that they live, and have those look for jobs that are not busy.

        Each is first started when the one before it has its models: what that has compiled is there for the next.
        """
        may_start = True
        for process in self._processes:
            if may_start or process.was_started:
                process.tick()
            may_start = process.is_ready

    def stop(self, grace_s: float) -> None:
        """Let them finish the jobs at hand within `grace_s`, all together, then end them."""
        for process in self._processes:
            process.hang_up()
        end = time.monotonic() + grace_s
        for process in self._processes:
            process.stop(max(0.0, end - time.monotonic()))
