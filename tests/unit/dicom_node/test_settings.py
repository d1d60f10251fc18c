"""The configuration file: what works, and what an administrator is told when it does not."""

import datetime
import re
import typing
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from dicom_node.analysis_settings import SHIPPED_CASCADE, SHIPPED_MODELS
from dicom_node.domain.audit import Collector
from dicom_node.domain.delivery import Destination, TlsFiles
from dicom_node.domain.errors import SettingsError
from dicom_node.domain.retrieval import Retrieve
from dicom_node.network_settings import PeerSection
from dicom_node.settings import Settings, load_settings
from dicom_node.validation import keys_of
from sr_writer.profiles import PROFILES, ResultKind

CONFIG = Path(__file__).parents[3] / "config"
#: As messages list them.
SECTIONS = ", ".join(sorted(Settings.model_fields))
SMALLEST = """\
node: {ae_title: AINODE, host: 127.0.0.1, port: 11112, storage: ./var}
peers:
  PACS: {ae_title: PACS, host: 127.0.0.1, port: 4242}
receive: {from: [PACS]}
deliver: {to: [PACS]}
settle: {quiet_seconds: 5}
"""


@pytest.fixture
def load(tmp_path):
    """Settings from a text, as a file called node.yaml."""

    def load(text, **environment):
        path = tmp_path / "node.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(path, environment)

    return load


@pytest.fixture
def faults(load, tmp_path):
    """The faults of a text, each as its line in words, without the folder."""

    def faults(text, **environment):
        with pytest.raises(SettingsError) as caught:
            load(text, **environment)
        assert str(caught.value) == "\n".join(map(str, caught.value.faults))
        return [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.faults]

    return faults


def test_smallest_file_is_enough(load, tmp_path):
    """Everything that is not in the smallest file has a default."""
    settings = load(SMALLEST)
    assert settings.node.storage == tmp_path / "var"
    assert settings.node.maximum_associations == 32
    assert settings.receive.senders == ("PACS",)
    assert settings.deliver.peers == ("PACS",)
    assert (settings.settle.quiet_seconds, settings.settle.at_most_seconds) == (5.0, 300.0)
    assert settings.settle.urgent_quiet_seconds is None
    assert settings.urgent.modalities == ()
    assert (settings.peers["PACS"].query, settings.peers["PACS"].priority) == (False, None)
    assert settings.load.secondary_capture == "ignore"
    assert (settings.models.folder, settings.models.cascade) == (SHIPPED_MODELS, SHIPPED_CASCADE)
    assert settings.runtime.threads is None
    assert settings.log.level == "info"
    assert settings.deliver.give_up_after_hours == 72.0
    assert (settings.retain.days, settings.retain.maximum_gb) == (None, None)
    assert (settings.catch_up.peers, settings.catch_up.time) == ((), datetime.time(2, 30))
    assert settings.peers["PACS"].retrieve is Retrieve.MOVE
    assert (settings.audit.file, settings.audit.patient_id, settings.collector) == (None, "hashed", None)


def test_only_ae_title_peers_and_names_are_required(load, tmp_path):
    """Address, port, storage and settling have defaults too."""
    peers = "peers: {P: {ae_title: P, host: h, port: 1}}"
    settings = load(f"node: {{ae_title: A}}\n{peers}\nreceive: {{from: [P]}}\ndeliver: {{to: []}}")
    assert (settings.node.host, settings.node.port, settings.node.storage) == ("127.0.0.1", 11112, tmp_path / "var")
    assert settings.deliver.peers == ()


def test_a_destination_may_say_what_it_gets(load):
    """A name alone is the standard profile; two with the same wishes share a profile."""
    text = SMALLEST.replace("{to: [PACS]}", "{to: [PACS, {peer: B, profile: weasis}, {peer: C, objects: [seg, sr]}]}")
    text = text.replace(
        "receive:", "  B: {ae_title: B, host: h, port: 1}\n  C: {ae_title: C, host: h, port: 2}\nreceive:"
    )
    settings = load(text)
    assert settings.deliver.peers == ("PACS", "B", "C")
    assert settings.deliver.profiles[PROFILES["standard"]] == ("PACS",)
    assert settings.deliver.profiles[PROFILES["weasis"]] == ("B",)
    wanted = settings.deliver.to[2].wanted
    assert wanted.objects == {ResultKind.SEGMENTATION, ResultKind.REPORT}
    both = load(text.replace("profile: weasis", "profile: standard"))
    assert both.deliver.profiles[PROFILES["standard"]] == ("PACS", "B")


def test_without_destinations_the_standard_objects_are_kept(load):
    """For nobody."""
    assert load(SMALLEST.replace("{to: [PACS]}", "{to: []}")).deliver.profiles == {PROFILES["standard"]: ()}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{peer: X}", "node.yaml:5: deliver.to[0]: expected the name of a peer, got 'X'; known: PACS"),
        ("{peer: PACS, profile: best}", "node.yaml:5: deliver.to[0].profile: expected one of standard, ohif, weasis, "
         "snapshot-only, everything, got 'best'; write for example standard"),
        ("{peer: PACS, objects: [seg, movie]}", "node.yaml:5: deliver.to[0].objects[1]: expected a list of some of "
         "seg, sr, gsps, snapshot, heatmap, ko, pdf, got 'movie'; write for example [sr, seg, gsps]"),
        ("{peer: PACS, objects: []}", "node.yaml:5: deliver.to[0].objects: expected a list of some of seg, sr, gsps, "
         "snapshot, heatmap, ko, pdf, got an empty list; write for example [sr, seg, gsps]"),
        ("{peer: PACS, colour: red}", "node.yaml:5: deliver.to[0].colour: unknown key; known: objects, "
         "omit_empty_frames, peer, profile, report, segment_per, segmentation"),
        ("PACS, {peer: PACS}", "node.yaml:5: deliver.to[1]: 'PACS' stands here twice; remove one of the two"),
    ],
)  # fmt: skip
def test_wrong_wishes_are_told_by_line_and_key(faults, written, told):
    """As any other fault."""
    assert faults(SMALLEST.replace("{to: [PACS]}", f"{{to: [{written}]}}")) == [told]


def test_shipped_file_holds_the_defaults(load, tmp_path):
    """config/node.yaml says the same as leaving everything out."""
    shipped = (CONFIG / "node.yaml").read_text(encoding="utf-8")
    assert load(shipped) == load(SMALLEST)


def section_of(field):
    """The section below a key, which may be left out as a whole; None where the key has a value of another kind."""
    kinds = (field.annotation, *typing.get_args(field.annotation))
    return next((kind for kind in kinds if hasattr(kind, "model_fields")), None)


def test_shipped_file_explains_every_key():
    """Every key that can be set is in config/node.yaml, live or commented out, with a comment."""
    lines = (CONFIG / "node.yaml").read_text(encoding="utf-8").splitlines()
    sections = [section_of(field) for field in keys_of(Settings).values()]
    keys = [key for section in sections if section is not None for key in keys_of(section)]
    explained = {match["key"] for line in lines if (match := re.match(r"#? +(# )?(?P<key>\w+): .*# \w+", line))}
    assert set(keys) <= explained


def test_hospital_example_is_valid():
    """The example of a hospital loads, with its three peers."""
    assert set(load_settings(CONFIG / "hospital.example.yaml", {}).peers) == {"PACS", "MR1", "RESEARCH"}


def test_absolute_paths_stay(load):
    """Only relative paths start at the folder of the file."""
    text = SMALLEST.replace("./var", "/srv/node") + "models: {folder: models}"
    assert load(text).node.storage == Path("/srv/node")
    assert load(text).models.cascade == SHIPPED_CASCADE


def test_relative_path_starts_at_the_file(load, tmp_path, monkeypatch):
    """Where the command is started does not matter."""
    monkeypatch.chdir("/")
    assert load(SMALLEST + "models: {folder: models}").models.folder == tmp_path / "models"


TLS = "tls: {certificate: node.crt, key: node.key, authorities: ca.crt}"


def with_tls(node, peer):
    """The smallest file with more in its node and in its peer."""
    return SMALLEST.replace("storage: ./var", f"storage: ./var, {node}").replace("port: 4242", f"port: 4242, {peer}")


def test_tls_is_for_callers_and_for_the_peers_that_want_it(load, tmp_path):
    """`tls: true` at a peer: with the node's own files; what the peer names goes before."""
    own = TlsFiles(tmp_path / "node.crt", tmp_path / "node.key", tmp_path / "ca.crt")
    assert load(SMALLEST).own_tls is None
    assert load(with_tls(TLS, "tls: false")).own_tls == own
    assert load(with_tls(TLS, "tls: false")).destination("PACS").tls is None
    assert load(with_tls(TLS, "tls: true")).destination("PACS").tls == own
    assert load(with_tls(TLS, "tls: {authorities: b.crt, check_host_name: false}")).destination("PACS").tls == TlsFiles(
        own.certificate, own.key, tmp_path / "b.crt", check_host_name=False
    )
    alone = "tls: {certificate: a.crt, key: a.key, authorities: b.crt}"
    assert load(SMALLEST.replace("port: 4242", f"port: 4242, {alone}")).destination("PACS").tls == TlsFiles(
        tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "b.crt"
    )


def test_the_collector_is_reached_with_the_nodes_files_or_its_own(load, tmp_path):
    """Over TLS unless UDP is wanted; the port is that of the transport."""
    with_node_tls = with_tls(TLS, "tls: false")
    own = TlsFiles(tmp_path / "node.crt", tmp_path / "node.key", tmp_path / "ca.crt")
    assert load(with_node_tls + "audit: {syslog: {host: h}}").collector == Collector("h", 6514, own)
    named = "audit: {syslog: {host: h, port: 7, tls: {certificate: a.crt, key: a.key, authorities: b.crt}}}"
    files = TlsFiles(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "b.crt")
    assert load(SMALLEST + named).collector == Collector("h", 7, files)
    assert load(with_node_tls + "audit: {syslog: {host: h, transport: udp}}").collector == Collector("h", 514, None)


@pytest.mark.parametrize(
    ("audit", "fault"),
    [
        ("{syslog: {host: h}}", "node.yaml:7: audit.syslog.tls: no certificate, key, authorities here, and no node.tls"
         " to take it from; add node.tls, or name the files here"),
        ("{syslog: yes}", "node.yaml:7: audit.syslog: expected a section with the keys host, port, transport, tls,"
         " maximum_waiting, got True; write for example {host: 127.0.0.1}"),
        ("{patient_id: name}", "node.yaml:7: audit.patient_id: expected none, hashed or plain, got 'name'; write for"
         " example hashed"),
        ("{keep_files: 0}", "node.yaml:7: audit.keep_files: expected a whole number from 1 to 1000, got 0; write for"
         " example 10"),
    ],
)  # fmt: skip
def test_faults_of_the_audit_trail_are_told(faults, audit, fault):
    """As any other."""
    assert faults(f"{SMALLEST}audit: {audit}") == [fault]


@pytest.mark.parametrize(
    ("node", "peer", "fault"),
    [
        ("port: 11112", "tls: true", "node.yaml:3: peers.PACS.tls: no certificate, key, authorities here, and no"
         " node.tls to take it from; add node.tls, or name the files here"),
        (TLS, "tls: {certificate: a.crt}", "node.yaml:3: peers.PACS.tls: has only one of certificate and key;"
         " give both, or neither"),
        (TLS, "tls: {check_host_name: 1}", "node.yaml:3: peers.PACS.tls.check_host_name: expected true or false,"
         " got 1; write for example true"),
        (TLS, "tls: {verify: true}", "node.yaml:3: peers.PACS.tls.verify: unknown key; known: authorities,"
         " certificate, check_host_name, key"),
        ("tls: {certificate: a.crt, key: a.key}", "tls: true", "node.yaml:1: node.tls.authorities: missing; expected a"
         " PEM file with the certificates of those who sign the peers' certificates; add for example"
         " `authorities: ca.crt`"),
        ("tls: yes", "tls: no", "node.yaml:1: node.tls: expected a section with the keys certificate, key, authorities,"
         " require_peer_certificate, got True; write for example {certificate: node.crt, key: node.key,"
         " authorities: ca.crt}"),
        (TLS, "addresses: [10.1.0.0/16, 10.x]", "node.yaml:3: peers.PACS.addresses[1]: expected a list of IP addresses"
         " or networks (CIDR), got '10.x'; write for example [192.0.2.0/24]"),
        (TLS, "maximum_associations: 0", "node.yaml:3: peers.PACS.maximum_associations: expected a whole number from 1"
         " to 1000, or null, got 0; write for example 4"),
    ],
)  # fmt: skip
def test_faults_of_tls_and_access_are_told(faults, node, peer, fault):
    """As any other."""
    assert faults(with_tls(node, peer).replace(", port: 11112, storage: ./var, port", ", storage: ./var, port")) == [
        fault
    ]


def test_settings_cannot_be_changed(load):
    """Settings are frozen."""
    settings = load(SMALLEST)
    with pytest.raises(ValidationError):
        settings.node.port = 1


def test_destination_is_found_by_name(load):
    """A peer of the file becomes a destination."""
    assert load(SMALLEST).destination("PACS") == Destination("PACS", "PACS", "127.0.0.1", 4242)


def test_unknown_destination_names_those_there_are(load):
    """A name no peer has is answered with the names there are."""
    with pytest.raises(SettingsError, match=r"pac: no peer has this name; did you mean PACS\? known: PACS"):
        load(SMALLEST).destination("pac")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("AINODE", "A" * 17, "node.yaml:1: node.ae_title: expected an AE title: 1 to 16 ASCII characters, no backslash,"
         " no space at either end, got 'AAAAAAAAAAAAAAAAA'; write for example AINODE"),
        ("AINODE", r"A\B", r"node.yaml:1: node.ae_title: expected an AE title: 1 to 16 ASCII characters, no backslash,"
         r" no space at either end, got 'A\\B'; write for example AINODE"),
        ("11112", "eleven",
         "node.yaml:1: node.port: expected a whole number from 1 to 65535, got 'eleven'; write for"
         " example 11112"),
        ("11112", "65536",
         "node.yaml:1: node.port: expected a whole number from 1 to 65535, got 65536; write for"
         " example 11112"),
        ("4242", "0",
         "node.yaml:3: peers.PACS.port: expected a whole number from 1 to 65535, got 0; write for example"
         " 11112"),
        ("from: [PACS]", "from: [PACKS]",
         "node.yaml:4: receive.from[0]: expected the name of a peer, got 'PACKS'; did"
         " you mean PACS? known: PACS"),
        ("to: [PACS]", "to: [Z]",
         "node.yaml:5: deliver.to[0]: expected the name of a peer, got 'Z'; known: PACS"),
        ("to: [PACS]", "to: [PACS, PACS]",
         "node.yaml:5: deliver.to[1]: 'PACS' stands here twice; remove one of the two"),
        ("quiet_seconds", "quiet_second",
         "node.yaml:6: settle.quiet_second: unknown key; did you mean quiet_seconds?"
         " known: at_most_seconds, quiet_seconds, urgent_quiet_seconds"),
        ("settle:", "setle:",
         f"node.yaml:6: setle: unknown key; did you mean settle? known: {SECTIONS}"),
        (" 5}", " 0}",
         "node.yaml:6: settle.quiet_seconds: expected seconds, above 0 and up to 86400, got 0; write for"
         " example 5"),
        ("{quiet_seconds: 5}", "5",
         "node.yaml:6: settle: expected a section with the keys quiet_seconds, urgent_quiet_seconds, at_most_seconds,"
         " got 5; write for example {quiet_seconds: 5, urgent_quiet_seconds: 2, at_most_seconds: 300}"),
        ("settle:", "urgent: {modalities: [ct]}\nsettle:",
         "node.yaml:6: urgent.modalities[0]: expected a list of values of Modality (0008,0060), got 'ct'; write for"
         " example [CT]"),
        ("port: 4242}", "port: 4242, priority: high}",
         "node.yaml:3: peers.PACS.priority: expected urgent, routine, low, or null, got 'high'; write for example"
         " urgent"),
        ("port: 4242}", "port: 4242, settle: {at_most_seconds: 0}}",
         "node.yaml:3: peers.PACS.settle.at_most_seconds: expected seconds, above 0 and up to 86400, or null, got 0;"
         " write for example 600"),
        ("{from: [PACS]}", "",
         "node.yaml:4: receive.from: missing; expected a list of one peer or more; add for example"
         " `from: [PACS]`"),
        ("from: [PACS]", "from: []",
         "node.yaml:4: receive.from: expected a list of one peer or more, got an empty list;"
         " write for example [PACS]"),
        ("from: [PACS]", "from: PACS",
         "node.yaml:4: receive.from: expected a list of one peer or more, got 'PACS'; write"
         " for example [PACS]"),
        ("{ae_title: PACS, host: 127.0.0.1, port: 4242}", "there",
         "node.yaml:3: peers.PACS: expected a section with the"
         f" keys {', '.join(PeerSection.model_fields)}, got 'there'; write for example"
         " {ae_title: AINODE, host: 127.0.0.1, port: 11112}"),
        ("settle:", "catch_up: {from: [PAX]}\nsettle:",
         "node.yaml:6: catch_up.from[0]: expected the name of a peer, got 'PAX'; known: PACS"),
        ("settle:", "catch_up: {from: [PACS], at: 12:30}\nsettle:",
         "node.yaml:6: catch_up.at: expected a time of day from \"00:00\" to \"23:59\", in quotes, got 750;"
         " write for example \"02:30\""),
        ("settle:", "catch_up: {from: [PACS], at: '24:00'}\nsettle:",
         "node.yaml:6: catch_up.at: expected a time of day from \"00:00\" to \"23:59\", in quotes, got '24:00';"
         " write for example \"02:30\""),
        ("settle:", "load: {secondary_capture: maybe}\nsettle:",
         "node.yaml:6: load.secondary_capture: expected ignore or"
         " analyse, got 'maybe'; write for example ignore"),
        ("settle:", "runtime: {threads: 0}\nsettle:",
         "node.yaml:6: runtime.threads: expected a whole number from 1 to"
         " 1024, or null for the worker's share, got 0; write for example 4"),
        ("settle:", "retain: {days: 0}\nsettle:",
         "node.yaml:6: retain.days: expected days, above 0 and up to 36525, or null for no limit, got 0; write for"
         " example 31"),
        ("settle:", "retain: {maximum_gb: much}\nsettle:",
         "node.yaml:6: retain.maximum_gb: expected gigabytes, above 0 and up to 1000000, or null for no limit, got"
         " 'much'; write for example 500"),
        ("to: [PACS]", "to: [PACS], give_up_after_hours: 0",
         "node.yaml:5: deliver.give_up_after_hours: expected hours, above 0 and up to 8784, got 0; write for"
         " example 72"),
        ("settle:", "settle: {quiet_seconds: 3}\nsettle:",
         "node.yaml:7: settle: stands twice, first in line 6; remove"
         " one of the two"),
        ("  PACS:", "  1: {}\n  PACS:",
         "node.yaml:3: peers: expected text as a key, got '1'; put the key in quotes"),
        ("AINODE", "!secret X",
         "node.yaml:1: node.ae_title: cannot be read as !secret: could not determine a constructor"
         " for the tag '!secret'; write plain text or a plain number"),
    ],
)  # fmt: skip
def test_one_fault_is_told_with_its_line(faults, old, new, fault):
    """File, line, dotted key, what was expected, what was found, and what to write."""
    assert old in SMALLEST
    assert faults(SMALLEST.replace(old, new, 1)) == [fault]


@pytest.mark.parametrize(
    "title", ["A", "ABCDEFGHIJKLMNOP", "MY NODE", "a-b_c.1", "AE/1"], ids=["one", "sixteen", "space", "mixed", "slash"]
)
def test_ae_titles_the_standard_allows(load, title):
    """PS3.5 6.2: up to 16 characters of the default repertoire, without backslash."""
    assert load(SMALLEST.replace("AINODE", title)).node.ae_title == title


@pytest.mark.parametrize("title", ["' A'", "'A '", "''", "'A\\B'", '"A\\tB"', "ÄNODE", "12", "no", "[A]"])
def test_ae_titles_the_standard_forbids(faults, title):
    """Spaces around, nothing, backslash, control characters, other alphabets, and what YAML takes for no text."""
    [fault] = faults(SMALLEST.replace("AINODE", title))
    assert fault.startswith("node.yaml:1: node.ae_title: expected an AE title")


@pytest.mark.parametrize("port", ["yes", "'4242'", "4242.0", "1e3", "null", "-1"])
def test_ports_are_whole_numbers(faults, port):
    """Truth values, quoted numbers, fractions and nothing are no ports."""
    [fault] = faults(SMALLEST.replace("4242", port))
    assert fault.startswith("node.yaml:3: peers.PACS.port: expected a whole number from 1 to 65535, got ")


def test_all_faults_are_told_together(faults):
    """Of syntax that can be read, everything that is wrong is told at once, in the order of the lines."""
    text = SMALLEST.replace("AINODE", "A" * 20).replace("4242", "none").replace("from", "form").replace("[PACS]", "[X]")
    told = [fault.split(":")[1:3] for fault in faults(text)]
    assert told == [
        ["1", " node.ae_title"],
        ["3", " peers.PACS.port"],
        ["4", " receive.form"],
        ["4", " receive.from"],
        ["5", " deliver.to[0]"],
    ]


def test_missing_sections_are_each_told(faults):
    """A file of one section lacks the others; there is no line to name."""
    assert [fault.split(";")[0] for fault in faults("node: {ae_title: AINODE}")] == [
        "node.yaml: deliver: missing",
        "node.yaml: peers: missing",
        "node.yaml: receive: missing",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("",
         "node.yaml: the file: is empty; write at least the sections node, peers, receive, deliver"),
        ("# nothing\n",
         "node.yaml: the file: is empty; write at least the sections node, peers, receive, deliver"),
        ("\n- node\n",
         "node.yaml:2: the file: expected sections such as `node:`, got a list; begin it with `node:`"),
        ("AINODE",
         "node.yaml:1: the file: expected sections such as `node:`, got 'AINODE'; begin it with `node:`"),
        ("node: {ae_title: A\npeers: 3\n",
         "node.yaml:2: the file: is not YAML: expected ',' or '}', but got ':';"
         " correct the syntax there or in the line above"),
        ("node:\n\tport: 3\n",
         "node.yaml:2: the file: is not YAML: found character '\\t' that cannot start any token;"
         " correct the syntax there or in the line above"),
        ("a: 1\n---\nb: 2\n",
         "node.yaml:2: the file: is not YAML: but found another document; correct the syntax there"
         " or in the line above"),
        ("a: &x [1]\nb: *x\n",
         "node.yaml:2: the file: has the alias *x; write the value out; aliases are not followed"),
        (b"a: \xff\n",
         "node.yaml: the file: is not UTF-8: invalid start byte; save it as UTF-8 text"),
    ],
)  # fmt: skip
def test_file_that_holds_no_sections(faults, text, fault):
    """Empty, no mapping, no YAML: one fault, with a line where there is one."""
    assert faults(text) == [fault]


def test_missing_file_is_told(tmp_path):
    """A file that is not there is a fault like any other."""
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "none.yaml", {})
    assert str(caught.value) == (
        f"{tmp_path}/none.yaml: the file: cannot be read: No such file or directory; "
        "name a file that can be read; config/node.yaml is one to begin with"
    )


def test_folder_instead_of_a_file_is_told(tmp_path):
    """A folder cannot be read as a file."""
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings(tmp_path, {})


def test_empty_section_keeps_its_defaults(load):
    """A section of which every key is commented out is no fault."""
    assert load(SMALLEST + "load:\n  # secondary_capture: ignore\n") == load(SMALLEST)


def test_environment_replaces_keys(load):
    """DICOM_NODE_<SECTION>__<KEY> is read as YAML, in sections that are there, empty or missing."""
    settings = load(
        SMALLEST + "runtime:\n",
        DICOM_NODE_NODE__PORT="11113",
        DICOM_NODE_DELIVER__TO="[]",
        DICOM_NODE_LOG__LEVEL="debug",
        DICOM_NODE_RUNTIME__THREADS="2",
    )
    assert (settings.node.port, settings.deliver.peers, settings.log.level) == (11113, (), "debug")
    assert settings.runtime.threads == 2


def test_other_variables_are_left_alone(load):
    """Variables without a section are not settings."""
    assert load(SMALLEST, DICOM_NODE_CONFIG="x", NODE__PORT="3", PATH="/bin") == load(SMALLEST)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("DICOM_NODE_NODE__PORT", "abc", "node.port: expected a whole number from 1 to 65535, got 'abc'; write for"
         " example 11112"),
        ("DICOM_NODE_NODE__PROT", "1", "node.prot: unknown key; did you mean port? known: ae_title, host,"
         " maximum_associations, port, storage, tls"),
        ("DICOM_NODE_NOD__PORT", "1", f"nod: unknown key; did you mean node? known: {SECTIONS}"),
        ("DICOM_NODE_DELIVER__TO", "[Z]", "deliver.to[0]: expected the name of a peer, got 'Z'; known: PACS"),
        ("DICOM_NODE_NODE__HOST", "[", "node.host: is no YAML value; write it as in the file, in quotes if it is text"),
        ("DICOM_NODE_PEERS__PACS", "{}", "peers.pacs: peers are set in the file only; write the peer into the file"),
    ],
)  # fmt: skip
def test_faults_of_the_environment_name_the_variable(faults, name, text, fault):
    """A wrong variable is told by its name, not by a line."""
    assert faults(SMALLEST, **{name: text}) == [f"environment variable {name}: {fault}"]


def test_examples_of_faults_are_valid(load):
    """What a fault tells to write can be written: the examples of all fields make a file that loads."""
    sections = {
        section: {key: yaml.safe_load(inner.examples[0]) for key, inner in keys_of(section_of(field)).items()}
        for section, field in keys_of(Settings).items()
        if section != "peers"
    }
    peers = yaml.safe_load(keys_of(Settings)["peers"].examples[0])
    assert load(yaml.safe_dump({**sections, "peers": peers})).settle.quiet_seconds == 5.0
