"""The configuration's analysis: when and in which order, of which images, by what and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dicom_node.cluster_settings import ReplicasSection
from dicom_node.network_settings import FilePath
from dicom_node.section import Section

REPOSITORY = Path(__file__).resolve().parents[1]
#: The reference model packages and the cascade over them, as shipped.
SHIPPED_MODELS = REPOSITORY / "inference" / "weights"
SHIPPED_CASCADE = REPOSITORY / "config" / "cascade.yaml"


class SettleSection(Section):
    """When a study is complete."""

    #: Without a new image, and without an open association that sent one.
    quiet_seconds: float = Field(
        default=5.0, strict=True, gt=0, le=86400, description="seconds, above 0 and up to 86400", examples=["5"]
    )
    #: The same of urgent studies; None: as of all.
    urgent_quiet_seconds: Annotated[float, Field(strict=True, gt=0, le=86400)] | None = Field(
        default=None, description="seconds, above 0 and up to 86400, or null for quiet_seconds", examples=["2"]
    )
    #: Without a new image, though the sender holds more of the study, or has not closed its association.
    at_most_seconds: float = Field(
        default=300.0, strict=True, gt=0, le=86400, description="seconds, above 0 and up to 86400", examples=["300"]
    )


class UrgentSection(Section):
    """Which studies are analysed before others, whoever sends them."""

    #: Modality (0008,0060) of any of their images.
    modalities: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,16}$")], ...] = Field(
        default=(), description="a list of values of Modality (0008,0060)", examples=["[CT]"]
    )


class LoadSection(Section):
    """Which images are read."""

    secondary_capture: Literal["ignore", "analyse"] = Field(
        default="ignore", description="ignore or analyse", examples=["ignore"]
    )


class ModelsSection(Section):
    """What analyses them."""

    folder: FilePath = Field(
        default=SHIPPED_MODELS, description="a folder of model packages", examples=["/srv/dicom-node/models"]
    )
    cascade: FilePath = Field(
        default=SHIPPED_CASCADE, description="a cascade file", examples=["/etc/dicom-node/cascade.yaml"]
    )


class RuntimeSection(Section):
    """How it is computed."""

    #: Studies that are analysed at once; None: two where there is memory for two, else one.
    workers: Annotated[int, Field(strict=True, ge=1, le=64)] | None = Field(
        default=None, description="a whole number from 1 to 64, or null for two if the machine allows", examples=["2"]
    )
    #: CPU threads of each worker; None: the cores, divided among the workers.
    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = Field(
        default=None, description="a whole number from 1 to 1024, or null for the worker's share", examples=["4"]
    )
    #: Of the workers, above the node's own: receiving and sending go first.
    niceness: Annotated[int, Field(strict=True, ge=0, le=19)] = Field(
        default=5, description="a whole number from 0 to 19", examples=["5"]
    )
    #: What computes the project's own networks. auto: a GPU if torch finds one.
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto, cpu or cuda", examples=["cpu"])
    #: What runs the project's own networks on the processor.
    engine: Literal["openvino", "torch"] = Field(
        default="openvino", description="openvino or torch", examples=["openvino"]
    )
    #: Of OpenVINO's arithmetic. auto: bf16, or int8 where a card vouches for it, if the processor has it; else f32.
    precision: Literal["auto", "f32", "bf16"] = Field(
        default="auto", description="auto, f32 or bf16", examples=["auto"]
    )
    #: Where networks are kept that were compiled; None: in the storage folder.
    compiled: FilePath | None = Field(
        default=None,
        description="a folder, or null for compiled/ in node.storage",
        examples=["/srv/dicom-node/compiled"],
    )
    #: Whether a worker with nothing else to do looks at studies that are still arriving.
    work_ahead: bool = Field(default=True, strict=True, description="true or false", examples=["true"])
    #: local: on this machine. ray: by the replicas of a Ray cluster, and on this machine while none answers.
    executor: Literal["local", "ray"] = Field(default="local", description="local or ray", examples=["ray"])
    #: Of executor ray. auto: the cluster that this machine is a part of.
    address: str = Field(
        default="auto",
        pattern=r"^(auto|[^/\s]+:[0-9]{1,5})$",
        description="auto, or host:port",
        examples=["192.0.2.40:6379"],
    )
    #: Of executor ray: the longest that one forward pass may take with its way there and back.
    timeout_seconds: float = Field(
        default=30.0, strict=True, gt=0, le=3600, description="seconds, above 0 and up to 3600", examples=["30"]
    )
    #: What `dicom-node ray-serve` starts on the cluster.
    replicas: ReplicasSection = Field(
        default=ReplicasSection(),
        description="a section with any of count, cpus, gpus and requests_at_once",
        examples=["{count: 4, gpus: 0.25}"],
    )
