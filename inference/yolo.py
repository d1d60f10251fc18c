"""The one door to ultralytics, whose YOLOv5 networks and loss are used; nothing else of it runs.

Left to itself it looks for the internet when it is imported, counts its users, installs what it misses and replaces
functions of other libraries by its own: all of that is switched off first or undone, and its settings go into a
folder that ends with the process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import cast

import torch
from PIL import Image
from torch import Tensor, nn

_SETTINGS = tempfile.mkdtemp(prefix="dicom-node-")
atexit.register(shutil.rmtree, _SETTINGS, ignore_errors=True)
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false", YOLO_CONFIG_DIR=_SETTINGS)

_PIL_OPEN, _TORCH_SAVE = Image.open, torch.save

from ultralytics.cfg import get_cfg  # noqa: E402  # after the switches above
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils import SETTINGS  # noqa: E402
from ultralytics.utils.loss import v8DetectionLoss  # noqa: E402

SETTINGS.update(sync=False)
Image.open = _PIL_OPEN  # its own would install a decoder over the first picture that is none
torch.save = _TORCH_SAVE

#: (predictions in training mode, targets) -> the loss of the whole batch.
DetectionLoss = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]


def yolov5(size: str, classes: int, channels: int) -> nn.Module:
    """YOLOv5 (Jocher et al., 2020) of size n, s, m or l, with the anchor-free head of ultralytics.

    In evaluation it gives ((n, 4 + classes, candidates), ...): centre x and y, width, height in pixels, scores 0..1.
    """
    network = DetectionModel(f"yolov5{size}.yaml", ch=channels, nc=classes, verbose=False)
    network.args = get_cfg()  # type: ignore[assignment]  # its loss reads the weights of its parts there
    return cast(nn.Module, network)


def detection_loss(network: nn.Module) -> DetectionLoss:
    """The loss of a network that `yolov5` made: boxes (CIoU and distribution focal loss) and classes.

    Targets are `batch_idx` (boxes), `cls` (boxes, 1) and `bboxes` (boxes, 4): centre and size as parts of the square.
    """
    criterion = v8DetectionLoss(network)

    def loss(answer: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        parts: Tensor = criterion(answer, targets)[0]
        return parts.sum()

    return loss
