"""What replicas are told, by the settings."""

import pytest

from dicom_node.settings import load_settings
from inference.findings import Task
from tests.builders.command import write_config
from tests.builders.packages import write_package
from tests.builders.ray_cluster import needs_ray

needs_ray()

from dicom_node.ray_serving import replicated  # noqa: E402  # it imports Ray


@pytest.mark.parametrize(
    ("runtime", "device", "threads"),
    [
        ("{}", "cpu", 1),
        ("{device: cuda, replicas: {cpus: 3.5}}", "cpu", 3),
        ("{replicas: {gpus: 0.25}}", "auto", 1),
        ("{device: cuda, replicas: {gpus: 1, cpus: 0}}", "cuda", 1),
        ("{device: cpu, replicas: {gpus: 0.25}}", "cpu", 1),
    ],
)
def test_a_replica_has_the_cores_and_the_gpu_that_it_was_given(tmp_path, runtime, device, threads):
    """Ray shows every GPU to an actor that has no share of one; it shall leave them alone."""
    config, _ = write_config(tmp_path, 4242)
    write_package(tmp_path / "models" / "unet", Task.SEGMENTATION)
    (tmp_path / "cascade.yaml").write_text(
        "stages: [{name: tumour, task: segmentation, package: unet, question: tumour}]\n"
    )
    with config.open("a") as file:
        file.write(f"models: {{folder: models, cascade: cascade.yaml}}\nruntime: {runtime}\n")
    [of] = replicated(load_settings(config, {}))
    assert (of.name, of.device, of.threads) == ("unet", device, threads)
