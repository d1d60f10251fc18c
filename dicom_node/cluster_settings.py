"""The configuration's runtime.replicas: what `dicom-node ray-serve` starts on a Ray cluster."""

from __future__ import annotations

from pydantic import Field

from dicom_node.section import Section


class ReplicasSection(Section):
    """Of each model package that the cascade asks."""

    count: int = Field(
        default=1, strict=True, ge=1, le=1000, description="a whole number from 1 to 1000", examples=["4"]
    )
    #: Processor cores of each; whole ones are its threads, too.
    cpus: float = Field(default=1.0, strict=True, ge=0, le=1024, description="a number from 0 to 1024", examples=["2"])
    #: Share of a GPU: 0.25 puts four replicas on one.
    gpus: float = Field(default=0.0, strict=True, ge=0, le=64, description="a number from 0 to 64", examples=["0.25"])
    #: Requests of several studies in one forward pass. 1: results are those of the node itself, bit for bit.
    requests_at_once: int = Field(
        default=1, strict=True, ge=1, le=256, description="a whole number from 1 to 256", examples=["8"]
    )
