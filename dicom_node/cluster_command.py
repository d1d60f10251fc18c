"""`dicom-node ray-serve`: the model packages of a configuration as replicas on a Ray cluster, until SIGTERM."""

from __future__ import annotations

import importlib.util
import logging
import signal

import typer

from dicom_node.logs import configure_logging
from dicom_node.terminal import ConfigOption, fail, settings_of

_LOGGER = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_EVERY_S = 5.0
_WAITING = "%d of %d replicas answer; `ray status` says what the others wait for"


def ray_serve(config: ConfigOption) -> None:
    """Serve the model packages on a Ray cluster, for nodes with `runtime.executor: ray`, until SIGTERM."""
    settings = settings_of(config)
    configure_logging(settings.log.level)
    if importlib.util.find_spec("ray") is None:
        fail("Ray is not installed here: `pip install 'dicom-ai-node[ray]'`")
    # Ray and torch take seconds to import: what is wrong above is told before
    from dicom_node.ray_serving import Serving  # noqa: PLC0415

    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)  # a signal waits until it is asked for, below
    serving = Serving(settings)
    wanted, told = sum(serving.wanted.values()), -1
    while not _asked_to_stop(0.0 if told < 0 else _LOOK_EVERY_S):
        ready = serving.ready(_LOOK_EVERY_S)
        if ready != told and ready == wanted:
            typer.echo("serving " + ", ".join(f"{name} x {count}" for name, count in serving.wanted.items()))
        elif ready != told:
            _LOGGER.warning(_WAITING, ready, wanted, extra={"action": "replicas_wait"})
        told = ready
    serving.stop()


def _asked_to_stop(wait_s: float) -> bool:
    return signal.sigtimedwait(_STOP_SIGNALS, wait_s) is not None
