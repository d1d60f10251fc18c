"""Networks by name. A network's weights come from a model package; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torchvision import models

Questions = Mapping[str, Sequence[str]]


class MultiHeadClassifier(nn.Module):
    """One trunk, one linear head per question (design choice: one forward pass answers the whole cascade)."""

    def __init__(self, trunk: nn.Module, features: int, questions: Questions) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({name: nn.Linear(features, len(classes)) for name, classes in questions.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """(n, 1, size, size) to logits (n, classes) per question."""
        features = self.trunk(pictures)
        return {name: head(features) for name, head in self.heads.items()}


def resnet50(questions: Questions) -> nn.Module:
    """ResNet50 (He et al., 2016) on one grey channel."""
    trunk = models.resnet50(weights=None)
    trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    features = trunk.fc.in_features
    trunk.fc = nn.Identity()
    return MultiHeadClassifier(trunk, features, questions)


def res50_unet(questions: Questions) -> nn.Module:
    """U-Net (Ronneberger et al., 2015) with a ResNet50 encoder, one logit map per class.

    The decoder is half as wide as the library's default, so that a package stays small; the encoder is whole.
    """
    (classes,) = questions.values()
    network: nn.Module = smp.Unet(
        encoder_name="resnet50",
        encoder_weights=None,
        decoder_channels=(128, 64, 48, 32, 16),
        in_channels=1,
        classes=len(classes),
    )
    return network


ARCHITECTURES: Mapping[str, Callable[[Questions], nn.Module]] = {
    "resnet50": resnet50,
    "res50-unet": res50_unet,
}


def build(name: str, questions: Questions) -> nn.Module:
    """The untrained network; KeyError with the known names otherwise."""
    try:
        make = ARCHITECTURES[name]
    except KeyError:
        raise KeyError(f"architecture {name!r} is not known; known are {', '.join(sorted(ARCHITECTURES))}") from None
    return make(questions)
