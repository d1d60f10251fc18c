"""A study of nobody, analysed before the first one comes: what is made at first use is made then."""

from __future__ import annotations

import datetime
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dicom_node.phantoms import phantom_studies
from dicom_node.pipeline import Engine, analyse_study
from inference.models import remembering
from inference.remembering import Interrupted, Memory

_LOGGER = logging.getLogger(__name__)

_KIND = "brain MR"
#: Nine slices, and so batches of eight and of one.
_SLICES = slice(3, 21, 2)


def warm(engine: Engine, may_go_on: Callable[[], bool]) -> None:
    """Analyse a generated study and drop its results, as long as nothing better is to be done."""
    now = datetime.datetime.now(datetime.UTC)
    memory = Memory(0)
    patient = replace(engine, shelf=remembering(engine.shelf, memory), load=replace(engine.load, tells=False))
    try:
        [phantom] = phantom_studies(0, now, kinds=(_KIND,))
        with tempfile.TemporaryDirectory(prefix="dicom-node-warm-") as scratch, memory.ahead("", may_go_on):
            paths = [Path(scratch) / f"{number}.dcm" for number in range(len(phantom.instances[_SLICES]))]
            for path, instance in zip(paths, phantom.instances[_SLICES], strict=True):
                instance.save_as(path, enforce_file_format=True)
            analyse_study(phantom.study_instance_uid, paths, patient, now)
    except Interrupted:
        return
    except OSError as error:
        _LOGGER.warning("The first study will be slow: %s", error.strerror, extra={"action": "not_warm"})
        return
    _LOGGER.info("The worker is warm", extra={"action": "worker_warm"})
