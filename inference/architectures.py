"""Networks by name. A network's weights come from a model package; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torchvision import models

#: Where other distributions register an `Architecture`.
ENTRY_POINTS = "dicom_node.architectures"
Questions = Mapping[str, Sequence[str]]
#: Questions and the number of input channels -> the untrained network.
Architecture = Callable[[Questions, int], nn.Module]


class MultiHeadClassifier(nn.Module):
    """One trunk, one linear head per question (design choice: one forward pass answers the whole cascade)."""

    def __init__(self, trunk: nn.Module, features: int, questions: Questions) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({name: nn.Linear(features, len(classes)) for name, classes in questions.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """(n, channels, size, size) to logits (n, classes) per question."""
        features = self.trunk(pictures)
        return {name: head(features) for name, head in self.heads.items()}


def resnet50(questions: Questions, channels: int) -> nn.Module:
    """ResNet50 (He et al., 2016)."""
    trunk = models.resnet50(weights=None)
    trunk.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    features = trunk.fc.in_features
    trunk.fc = nn.Identity()
    return MultiHeadClassifier(trunk, features, questions)


def densenet121(questions: Questions, channels: int) -> nn.Module:
    """DenseNet121 (Huang et al., 2017)."""
    trunk = models.densenet121(weights=None)
    trunk.features.conv0 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    features = trunk.classifier.in_features
    trunk.classifier = nn.Identity()
    return MultiHeadClassifier(trunk, features, questions)


def vgg16(questions: Questions, channels: int) -> nn.Module:
    """VGG16 (Simonyan and Zisserman, 2015), with batch normalisation: without it, it does not learn
    from nothing at this size."""
    trunk = models.vgg16_bn(weights=None)
    trunk.features[0] = nn.Conv2d(channels, 64, kernel_size=3, padding=1)
    features = trunk.classifier[-1].in_features
    trunk.classifier[-1] = nn.Identity()
    return MultiHeadClassifier(trunk, features, questions)


def unet(questions: Questions, channels: int) -> nn.Module:
    """U-Net (Ronneberger et al., 2015) with the convolutions of VGG11 as its encoder, one logit map per class."""
    (classes,) = questions.values()
    network: nn.Module = smp.Unet(
        encoder_name="vgg11_bn",
        encoder_weights=None,
        decoder_channels=(256, 128, 64, 48, 32),
        in_channels=channels,
        classes=len(classes),
    )
    return network


def attention_unet(questions: Questions, channels: int) -> nn.Module:
    """Attention U-Net (Oktay et al., 2018), MONAI's, one logit map per class."""
    from monai.networks.nets.attentionunet import AttentionUnet  # noqa: PLC0415  # MONAI takes seconds to import

    (classes,) = questions.values()
    network: nn.Module = AttentionUnet(
        spatial_dims=2,
        in_channels=channels,
        out_channels=len(classes),
        channels=(32, 64, 128, 256, 512),
        strides=(2, 2, 2, 2),
    )
    return network


def res50_unet(questions: Questions, channels: int) -> nn.Module:
    """U-Net (Ronneberger et al., 2015) with a ResNet50 encoder, one logit map per class.

    The decoder is half as wide as the library's default, so that a package stays small; the encoder is whole.
    """
    (classes,) = questions.values()
    network: nn.Module = smp.Unet(
        encoder_name="resnet50",
        encoder_weights=None,
        decoder_channels=(128, 64, 48, 32, 16),
        in_channels=channels,
        classes=len(classes),
    )
    return network


def _yolov5(size: str) -> Architecture:
    def make(questions: Questions, channels: int) -> nn.Module:
        from inference.yolo import yolov5  # noqa: PLC0415  # ultralytics is large, and only detectors need it

        (classes,) = questions.values()
        return yolov5(size, len(classes), channels)

    return make


ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet50": resnet50,
    "densenet121": densenet121,
    "vgg16": vgg16,
    "unet": unet,
    "attention-unet": attention_unet,
    "res50-unet": res50_unet,
    **{f"yolov5{size}": _yolov5(size) for size in "nsml"},
}


def build(name: str, questions: Questions, channels: int = 1) -> nn.Module:
    """The untrained network on so many channels: one of the above, or one that an installed distribution brings under
    the entry point group dicom_node.architectures; KeyError with the known names otherwise."""
    brought = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in ARCHITECTURES:
        return ARCHITECTURES[name](questions, channels)
    if name in brought:
        make: Architecture = brought[name].load()
        return make(questions, channels)
    known = ", ".join(sorted({*ARCHITECTURES, *brought}))
    raise KeyError(f"architecture {name!r} is not known; known are {known}")
