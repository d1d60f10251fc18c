"""From settings to an Engine: reads the cascade and makes the model packages ready. Importing it imports torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from dicom_node.equipment import equipment_of
from dicom_node.pipeline import Engine
from dicom_node.reader import LoadSettings
from dicom_node.settings import Settings
from inference.compiled import Compiling, Precision
from inference.explain import explain as heat_maps
from inference.models import load_all
from inference.registry import BrokenPackage
from inference.stages import load_cascade
from sr_writer.profiles import Profile, ResultKind

_LOGGER = logging.getLogger(__name__)


def build_engine(
    settings: Settings, *, profiles: Mapping[Profile, tuple[str, ...]] | None = None, explain: bool = False
) -> Engine:
    """Everything an analysis needs, with the models in memory; results are made for `profiles`, or as the settings have
    it. Raises CascadeError for a cascade file that is wrong."""
    cascade, packages = load_cascade(settings.models.cascade), settings.library.packages()
    torch.set_num_threads(settings.runtime.threads or os.cpu_count() or 1)
    asked = {name: packages[name] for name in cascade.packages if name in packages}
    runtime = settings.runtime
    shelf = load_all(asked, compiling(runtime.engine, runtime.precision, runtime.device, settings.compiled_networks))
    wanted = settings.deliver.profiles if profiles is None else profiles
    for name, model in shelf.items():
        told = model.reason if isinstance(model, BrokenPackage) else f"version {model.package.card.version}"
        _LOGGER.info("Model package %s: %s", name, told, extra={"action": "model_ready"})
    return Engine(
        load=LoadSettings(
            settings.load.secondary_capture,
            threads=settings.runtime.threads or os.cpu_count() or 1,
            scratch=settings.node.storage / "scratch" if settings.node.storage.is_dir() else None,
        ),
        cascade=cascade,
        shelf=shelf,
        equipment=equipment_of(settings.node.ae_title),
        profiles=wanted,
        explain=heat_maps if explain or any(ResultKind.HEAT_MAP in each.objects for each in wanted) else None,
    )


def compiling(engine: str, precision: str, device: str, folder: Path) -> Compiling | None:
    """None: in torch on the processor; also without a folder to keep networks in, since compiling takes longer than a
    few studies do."""
    is_there = folder.is_dir() or folder.parent.is_dir()
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        return Compiling(Precision(precision), folder if is_there else None, on_gpu=True)
    if engine == "torch" or not is_there:
        return None
    return Compiling(Precision(precision), folder)
