"""The container image and the trial installation, as far as they can be read without an engine that builds them."""

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from dicom_node.admission import Rejected
from dicom_node.app import check_cascade
from dicom_node.settings import load_settings
from tests.builders.network import HOST, free_port, running_node

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
NODE_CONFIG = DOCKER / "node.yaml"


def instructions():
    """The Dockerfile as (instruction, arguments), continued lines joined, comments left out."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [tuple(line.split(maxsplit=1)) for line in lines.replace("\\\n", " ").splitlines() if line.strip()]


def arguments_of(name):
    """The arguments of every instruction called `name`, in order."""
    return [arguments for instruction, arguments in instructions() if instruction == name]


def compose():
    """The trial installation."""
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


def orthanc():
    """Its archive's configuration; plain JSON, since the image merges it with its own."""
    return json.loads((DOCKER / "orthanc.json").read_text(encoding="utf-8"))


def settings():
    """Its node's configuration, as the node reads it."""
    return load_settings(NODE_CONFIG, {})


def mounts(service):
    """Target -> source of every file that `service` is given."""
    pairs = [volume.split(":") for volume in compose()["services"][service]["volumes"]]
    return {target: source for source, target, *_ in pairs}


@pytest.fixture
def health():
    """docker/health.py as a module; the image runs it as a script."""
    spec = importlib.util.spec_from_file_location("health", DOCKER / "health.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def port(tmp_path, monkeypatch):
    """The port of a configuration whose node is called NODE and listens on every interface."""
    number = free_port()
    content = yaml.safe_load(NODE_CONFIG.read_text(encoding="utf-8"))
    content["node"] |= {"ae_title": "NODE", "port": number}
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(path))
    return number


@pytest.mark.parametrize("arguments", arguments_of("COPY"))
def test_everything_copied_into_the_image_exists(arguments):
    """A renamed file fails here, not on the machine of whoever builds the image."""
    *sources, _ = shlex.split(arguments)
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []


@pytest.mark.parametrize("arguments", arguments_of("COPY"))
def test_everything_copied_is_let_through_to_the_builder(arguments):
    """The ignore file leaves out everything but what it names."""
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    *sources, _ = shlex.split(arguments)
    assert [source for source in sources if f"!{source}" not in ignored] == []


def test_the_image_does_not_run_as_root():
    """The last USER counts, and a number lets Kubernetes check it, too."""
    user, _, group = arguments_of("USER")[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_image_has_a_health_check():
    """It runs a script that the image holds."""
    [health_check] = arguments_of("HEALTHCHECK")
    [_, script] = json.loads(health_check.partition("CMD ")[2])
    [folder] = arguments_of("WORKDIR")
    assert (REPOSITORY / Path(script).relative_to(folder)).is_file()


def test_the_image_installs_the_pinned_versions_without_the_tests():
    """Every pip install is held to constraints.txt and keeps no cache."""
    installs = [line for run in arguments_of("RUN") for line in re.findall(r"pip install[^;&]*", run)]
    assert installs
    assert all("--constraint constraints.txt" in line and "--no-cache-dir" in line for line in installs)
    assert not any("[test]" in line for line in installs)


def test_images_have_a_version():
    """`latest`, or no tag, is another image every day."""
    images = [*arguments_of("FROM"), *(service["image"] for service in compose()["services"].values())]
    tags = [image.partition(":")[2] for image in images]
    assert all(tag and not tag.startswith("latest") for tag in tags)


def test_the_node_s_image_has_the_node_s_version():
    """The tag in compose.yaml follows pyproject.toml."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert compose()["services"]["node"]["image"].endswith(f":{project['version']}")


def test_ports_are_published_on_the_loopback_address_only():
    """Nothing of the trial has a password."""
    ports = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("service", compose()["services"])
def test_everything_mounted_exists(service):
    """Files beside compose.yaml, or volumes it declares."""
    known = compose()["volumes"]
    missing = [source for source in mounts(service).values() if source not in known and not (DOCKER / source).is_file()]
    assert missing == []


def test_the_node_finds_its_configuration_and_its_volume():
    """What compose.yaml mounts is where the image and the configuration look."""
    [configuration] = [target for target in mounts("node") if target.endswith(".yaml")]
    assert f"DICOM_NODE_CONFIG={configuration}" in arguments_of("ENV")[0].split()
    assert str(settings().node.storage) in mounts("node")
    assert str(settings().node.storage) in arguments_of("VOLUME")


def test_the_node_s_configuration_is_right():
    """It loads, with the shipped cascade and the shipped model packages."""
    check_cascade(settings())
    assert settings().models.folder.is_dir()


def test_node_and_archive_know_each_other():
    """AE titles and ports agree on both sides; hosts are the services' names."""
    node, peer = settings().node, settings().peers["ORTHANC"]
    assert orthanc()["DicomModalities"]["ainode"] == [node.ae_title, "node", node.port]
    assert (orthanc()["DicomAet"], orthanc()["DicomPort"]) == (peer.ae_title, peer.port)
    assert {"node", peer.host} == set(compose()["services"])


def test_the_archive_finds_its_scripts():
    """Every path in orthanc.json is mounted."""
    named = [*orthanc()["LuaScripts"], orthanc()["OHIF"]["UserConfiguration"], orthanc()["StorageDirectory"]]
    assert set(named) <= set(mounts("orthanc"))


def test_the_route_names_the_node_as_the_archive_does():
    """route.lua repeats two names of orthanc.json."""
    script = (DOCKER / "route.lua").read_text(encoding="utf-8")
    [(name, [ae_title, *_])] = orthanc()["DicomModalities"].items()
    assert f"local NODE = '{name}'" in script
    assert f"local NODE_AE_TITLE = '{ae_title}'" in script


def test_the_health_check_is_let_in(health):
    """Its AE title is a peer's that may send, from the container's own address."""
    senders = [settings().peers[name] for name in settings().receive.senders]
    assert (health.AE_TITLE, HOST) in {(peer.ae_title, peer.host) for peer in senders}


def test_a_node_that_answers_is_healthy(health, port, tmp_path):
    """C-ECHO over the loopback address, although the configuration says every interface."""
    with running_node(tmp_path / "node", port=port):
        health.main()


def test_a_node_that_rejects_is_healthy(health, port, tmp_path):
    """It listens, reads and answers; who may come in is another question."""

    def reject(_request):
        return Rejected(1, 1, 3, "nobody may")

    with running_node(tmp_path / "node", admission=reject, port=port):
        health.main()


# pynetdicom drops the socket of a refused connection without closing it
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_node_that_is_not_there_is_unhealthy(health, port):
    """The exit status is not 0, and the text says where nobody answered."""
    with pytest.raises(SystemExit, match=f"no connection to NODE@127.0.0.1:{port}"):
        health.main()
