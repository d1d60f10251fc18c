"""What an actor of a Ray cluster is made of: one model package, made ready. It knows no Ray, and imports torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dicom_node.domain.cluster import ClusterError, Replicated
from dicom_node.engine import compiling
from inference.batching import Batcher
from inference.models import load
from inference.registry import BrokenPackage, open_package
from inference.remote import Answer, alone, to_arrays


class ReadyPackage:
    """Answers pictures as the package's network does. Its methods may be called by many threads."""

    def __init__(self, of: Replicated) -> None:
        """Raises ClusterError over a package that is not the one that is meant, or not whole."""
        package = open_package(of.folder)
        if isinstance(package, BrokenPackage):
            raise ClusterError(f"{of.name} is not usable on this machine of the cluster: {package.reason}")
        if package.digest != of.digest:
            raise ClusterError(f"{of.name} is another one on this machine of the cluster; install the same version")
        torch.set_num_threads(of.threads)
        model = load(package, compiling(of.engine, of.precision, of.device, of.compiled_networks))
        if isinstance(model, BrokenPackage):
            raise ClusterError(f"{of.name} is not usable on this machine of the cluster: {model.reason}")
        network = model.network
        self._network = Batcher(lambda pictures: alone(network(pictures)), of.requests_at_once)

    def run(self, pictures: NDArray[np.float32]) -> Answer:
        """(n, channels, size, size) to the network's numbers."""
        own = torch.from_numpy(np.array(pictures, np.float32))  # a copy: what Ray shares is read only
        with torch.inference_mode():
            return to_arrays(self._network(own.contiguous(memory_format=torch.channels_last)))

    def unanswered(self) -> int:
        """Requests that wait here or are being answered."""
        return self._network.unanswered
