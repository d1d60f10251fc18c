"""From settings to an Engine: reads the cascade and makes the model packages ready. Importing it imports torch."""

from __future__ import annotations

import logging
import os

import torch

from dicom_node.equipment import equipment_of
from dicom_node.pipeline import Engine
from dicom_node.reader import LoadSettings
from dicom_node.settings import Settings
from inference.explain import explain as heat_maps
from inference.models import load_all
from inference.registry import BrokenPackage
from inference.stages import load_cascade

_LOGGER = logging.getLogger(__name__)


def build_engine(settings: Settings, *, explain: bool = False) -> Engine:
    """Everything an analysis needs, with the models in memory. Raises CascadeError for a cascade file that is wrong."""
    cascade, packages = load_cascade(settings.models.cascade), settings.library.packages()
    torch.set_num_threads(settings.runtime.threads or os.cpu_count() or 1)
    shelf = load_all({name: packages[name] for name in cascade.packages if name in packages})
    for name, model in shelf.items():
        told = model.reason if isinstance(model, BrokenPackage) else f"version {model.package.card.version}"
        _LOGGER.info("Model package %s: %s", name, told, extra={"action": "model_ready"})
    return Engine(
        load=LoadSettings(secondary_capture=settings.load.secondary_capture),
        cascade=cascade,
        shelf=shelf,
        equipment=equipment_of(settings.node.ae_title),
        explain=heat_maps if explain else None,
    )
