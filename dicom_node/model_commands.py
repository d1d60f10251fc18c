"""`dicom-node models ...`: what is installed, how good it is, and which version is active."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicom_node import model_page, tables
from dicom_node.settings import SHIPPED_CONFIG
from dicom_node.terminal import FAILED, ConfigOption, JsonOption, fail, out_console, settings_of
from inference import installing
from inference.registry import BrokenPackage, InstalledVersion, Library

app = typer.Typer(help="Model packages: list, show, verify, install, activate, roll back, remove.")
Name = Annotated[str, typer.Argument(help="NAME for the active version, or NAME@VERSION.")]
_RESTART = "a running node takes it at its next start"


@app.callback(invoke_without_command=True)
def models(context: typer.Context, config: ConfigOption = SHIPPED_CONFIG, *, as_json: JsonOption = False) -> None:
    """Which model packages are installed, what they answer and how good they were."""
    if context.invoked_subcommand is not None:
        return
    versions = _library_of(config).versions()
    if as_json:
        typer.echo(tables.models_json(versions))
    else:
        out_console.print(tables.models_table(versions))


@app.command()
def show(
    name: Name,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file instead.")] = None,
    config: ConfigOption = SHIPPED_CONFIG,
) -> None:
    """The whole card of a package: intended use, data, figures, limits."""
    version = _find(name, _library_of(config))
    if isinstance(version.package, BrokenPackage):
        fail(version.package.reason)
    if html is None:
        for part in model_page.tables_of(version.package):
            out_console.print(tables.plain_table(part))
        return
    try:
        html.write_text(model_page.page(version.package), encoding="utf-8")
    except OSError as error:
        fail(f"{html} cannot be written: {error.strerror}; name another file")
    typer.echo(f"{html} shows {version.name} {version.number}")


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="All if none is given.")] = "", config: ConfigOption = SHIPPED_CONFIG
) -> None:
    """Card, digests, and a blank picture through the network; exit code 1 if anything is wrong."""
    from inference.models import load  # noqa: PLC0415  # torch takes seconds to import

    library = _library_of(config)
    wrong = False
    for version in [_find(name, library)] if name else library.versions():
        package = version.package
        loaded = package if isinstance(package, BrokenPackage) else load(package)
        problem = loaded.reason if isinstance(loaded, BrokenPackage) else ""
        wrong = wrong or bool(problem)
        typer.echo(f"{version.name} {version.number}: {problem or 'whole'}")
    if wrong:
        raise typer.Exit(FAILED)


@app.command()
def install(
    source: Annotated[Path, typer.Argument(help="Folder or ZIP file with card.json and what it names.")],
    config: ConfigOption,
    *,
    activate: Annotated[bool, typer.Option("--activate", help="Make it active, too.")] = False,
) -> None:
    """Check a package and add it to those of this node; it is not active yet."""
    from inference.models import load  # noqa: PLC0415  # torch takes seconds to import

    library = _library_of(config)
    card = installing.install(source, library, load).card
    if activate:
        installing.activate(card.name, card.version, library)
    typer.echo(f"{card.name} {card.version} is installed" + (f" and active; {_RESTART}" if activate else ""))


@app.command()
def activate(name: str, version: str, config: ConfigOption) -> None:
    """Use this version of a package from the next start on."""
    installing.activate(name, version, _library_of(config))
    typer.echo(f"{name} {version} is active; {_RESTART}")


@app.command()
def rollback(name: str, config: ConfigOption) -> None:
    """Use the version of a package again that was active before."""
    version = installing.rollback(name, _library_of(config))
    typer.echo(f"{name} {version} is active again; {_RESTART}")


@app.command()
def remove(name: str, version: str, config: ConfigOption) -> None:
    """Delete an installed version that is not active."""
    installing.remove(name, version, _library_of(config))
    typer.echo(f"{name} {version} is removed")


def _find(name: str, library: Library) -> InstalledVersion:
    package, _, number = name.partition("@")
    version = library.find(package, number)
    if version is None:
        known = ", ".join(f"{each.name}@{each.number}" for each in library.versions()) or "none"
        fail(f"{name} is not installed; installed are: {known}")
    return version


def _library_of(config: Path) -> Library:
    """The configuration's; the command ends where this user cannot look into it."""
    library = settings_of(config).library
    try:
        next(library.site.iterdir(), None)
    except FileNotFoundError:  # nothing was installed yet
        pass
    except OSError as error:
        fail(f"{library.site} cannot be read: {error.strerror}; run this as the service's user")
    return library
