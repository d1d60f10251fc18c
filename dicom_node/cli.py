"""`dicom-node ...`: parses, calls, prints; the only place that prints."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from dicom_node import app as composition
from dicom_node import (
    cluster_command,
    conformance_command,
    data_commands,
    doctor_command,
    model_commands,
    pull_command,
    rebuild_command,
    study_commands,
    tables,
    training_commands,
    validate_command,
)
from dicom_node.checks import Verdict, run_checks
from dicom_node.domain.errors import NodeError, SettingsError
from dicom_node.faults import tell_without_messages
from dicom_node.files import files_under
from dicom_node.logs import configure_logging
from dicom_node.progress import Progress
from dicom_node.research.keys import make_key
from dicom_node.research.setup import check_research
from dicom_node.sending import send_folder
from dicom_node.settings import SHIPPED_CONFIG
from dicom_node.terminal import (
    FAILED,
    WRONG_SETTINGS,
    ConfigOption,
    OutOption,
    err_console,
    fail,
    out_console,
    settings_of,
)
from dicom_node.validation import choice
from inference.installing import InstallError
from sr_writer.profiles import PROFILES

_LOGGER = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

app = typer.Typer(
    help="A DICOM node that answers studies with AI findings. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show the values of variables, and those may be a patient's
)


@app.command()
def serve(config: ConfigOption) -> None:
    """Receive, analyse and answer until SIGTERM."""
    settings = settings_of(config)
    configure_logging(settings.log.level)
    composition.check_cascade(settings)
    check_research(settings)
    os.umask(0o077)  # the database is SQLite's to create; what is in it concerns nobody else on this machine
    # blocked before any thread starts, so that none is interrupted: a signal waits until this one asks for it
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    node = composition.Node(settings)
    try:
        node.start()
    except OSError as error:
        node.stop()
        where, key = (error.filename, "web.port") if error.filename else (node.address, "node.port")
        fail(f"cannot listen on {where}: {error.strerror}; is it running already? else change {key}")
    typer.echo(f"ready {node.address}")
    received = signal.sigwait(_STOP_SIGNALS)
    _LOGGER.info("Stopping after %s", signal.Signals(received).name, extra={"action": "stopping"})
    node.stop()


@app.command()
def check(config: ConfigOption) -> None:
    """Is the configuration right, and is everything it names there?"""
    settings = settings_of(config)
    configure_logging("error")
    checks = []
    with Progress(err_console) as progress:
        for done in run_checks(settings):
            progress.tell(f"{done.subject}: {done.verdict}")
            checks.append(done)
    out_console.print(tables.check_table(checks))
    if any(done.verdict is Verdict.FAILED for done in checks):
        raise typer.Exit(FAILED)


@app.command()
def demo(out: OutOption = Path("out/demo")) -> None:
    """An archive, a node and generated studies on loopback ports, from image to result."""
    from dicom_node.demo import run_demo  # noqa: PLC0415  # draws in torch, highdicom and scipy; other commands need none

    configure_logging("warning")
    with Progress(err_console) as progress:
        studies = run_demo(out, progress.tell)
    out_console.print(tables.demo_table(studies))
    typer.echo(f"pictures, results/ and summary.json are in {out}")
    if not all(study.is_complete for study in studies):
        fail("not every expected result came back; the table says which study, and `reason` in summary.json why")


@app.command()
def analyze(
    path: Path,
    out: OutOption,
    config: ConfigOption = SHIPPED_CONFIG,
    *,
    profile: Annotated[str, typer.Option(help=f"Which objects: {', '.join(PROFILES)}.")] = "standard",
    explain: Annotated[bool, typer.Option("--explain", help="With pictures of why: heat maps.")] = False,
) -> None:
    """The same analysis of a folder of files, without a network."""
    settings = settings_of(config)
    configure_logging("warning")
    if not path.exists():
        fail(f"{path} does not exist; name a file or a folder")
    if profile not in PROFILES:
        fail(f"there is no profile {profile}; {choice(profile, PROFILES)}", WRONG_SETTINGS)
    composition.check_cascade(settings)
    # torch takes seconds to import: what is wrong above is told before
    from dicom_node.engine import build_engine  # noqa: PLC0415
    from dicom_node.offline import analyse_folder, find_studies  # noqa: PLC0415

    found = find_studies(path)
    engine = build_engine(settings, profiles={PROFILES[profile]: ()}, explain=explain)
    studies = []
    with Progress(err_console, total=len(found.studies), what="studies") as progress:
        for study in analyse_folder(found, engine, out):
            progress.advance(f"{study.summary.study_instance_uid}: {study.summary.outcome}")
            studies.append(study)
    out_console.print(tables.analysis_table(studies))
    for file, reason in found.refused.items():
        typer.echo(f"refused {file}: it {reason}")
    if not studies:
        fail(f"no DICOM study under {path}")


@app.command()
def send(
    path: Path,
    to: Annotated[str, typer.Option("--to", help="A peer of the configuration.")],
    config: ConfigOption = SHIPPED_CONFIG,
) -> None:
    """Send files to a peer, by C-STORE or, if it is a DICOMweb server, by STOW-RS."""
    settings = settings_of(config)
    configure_logging("warning")
    destination = settings.way_out(to)
    if not path.exists():
        fail(f"{path} does not exist; name a file or a folder")
    problems = []
    with Progress(err_console, total=len(files_under(path)), what="files") as progress:
        for result in send_folder(path, destination, settings.node.ae_title):
            progress.advance("" if result.arrived else f"{result.path}: {result.problem}")
            if not result.arrived:
                problems.append(result)
    typer.echo(f"{progress.done - len(problems)} of {progress.done} files arrived at {destination}")
    if problems or not progress.done:
        raise typer.Exit(FAILED)


@app.command()
def research_key(path: Path) -> None:
    """A new key for the pseudonyms of research copies, in a file of its own that only its owner may read."""
    make_key(path)
    typer.echo(f"{path} is written; keep a copy where no research data are: without it no pseudonym can be made again")


app.add_typer(data_commands.app, name="data")
app.add_typer(model_commands.app, name="models")
for command in (
    study_commands.status,
    study_commands.retry,
    study_commands.resend,
    study_commands.rerun,
    study_commands.forget,
    conformance_command.conformance,
    cluster_command.ray_serve,
    rebuild_command.rebuild,
    doctor_command.doctor,
    pull_command.pull,
    training_commands.train,
    training_commands.evaluate,
    training_commands.compare,
    training_commands.quantise,
    validate_command.validate,
):
    app.command()(command)


def main() -> None:
    """The command; errors are told in a line, not in a traceback."""
    tell_without_messages()
    try:
        app()
    except SettingsError as error:
        typer.echo(str(error), err=True)
        sys.exit(WRONG_SETTINGS)
    except (NodeError, InstallError) as error:
        typer.echo(str(error), err=True)
        sys.exit(FAILED)
