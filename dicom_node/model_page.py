"""A model package's card as tables, for the terminal and for a page."""

from __future__ import annotations

from inference.cards import Card, CardFigure
from inference.evaluation.figures import Table
from inference.evaluation.page import html_page
from inference.registry import Package


def tables_of(package: Package) -> tuple[Table, ...]:
    """Everything the card says."""
    card = package.card
    return (
        Table(f"{card.name} {card.version}", ("", ""), _about(card)),
        Table("Questions", ("question", "answers"), tuple((n, ", ".join(c)) for n, c in card.questions.items())),
        Table("Limits and known failures", ("",), tuple((text,) for text in (*card.limitations, *card.known_failures))),
        Table(
            "Training data",
            ("source", "pictures", "terms"),
            tuple((source.name, str(source.pictures), source.terms) for source in card.training.sources),
        ),
        Table("Preparation", ("", ""), _pairs(card.preparation.model_dump())),
        Table("Operating point", ("", ""), _pairs(card.operating_point.model_dump())),
        _figures(card),
        *((quantisation_table(card),) if card.quantisation is not None else ()),
        Table("Files", ("file", "sha256"), ((card.file, card.weights_sha256), *card.further_sha256.items())),
    )


def page(package: Package) -> str:
    """The card as one HTML page."""
    card = package.card
    return html_page(f"{card.name} {card.version}", f"{card.intended_use} Digest {package.digest}.", tables_of(package))


def quantisation_table(card: Card) -> Table:
    """What the int8 network was judged by; without rows where there is none."""
    made = card.quantisation
    if made is None:
        return Table("int8 network", (), ())
    title = f"int8 network, calibrated on {made.pictures} pictures of {made.data} ({made.subjects} subjects)"
    rows = tuple((each.name, f"{each.float32:.4f}", f"{each.int8:.4f}", str(each.cases)) for each in made.judged)
    return Table(title, ("figure", "float32", "int8", "cases"), rows)


def _about(card: Card) -> tuple[tuple[str, str], ...]:
    return (
        ("intended use", card.intended_use),
        ("inputs", card.inputs or "not said"),
        ("planes", ", ".join(card.planes) or "any"),
        ("task", card.task),
        ("network", card.architecture or card.file),
        ("manufacturer", card.manufacturer),
        ("trained by", f"{card.training.recipe}, {card.training.date}"),
        ("licence", card.licence),
        ("use", "research only" if card.research_only else "see its licence"),
    )


def _figures(card: Card) -> Table:
    measured = {figure.name for figure in card.figures}
    bare = tuple((name, f"{value:g}", "", "", "") for name, value in card.metrics.items() if name not in measured)
    header = ("figure", "value", "95 % interval", "cases", "of")
    return Table("Figures on validation data", header, (*bare, *(_figure(figure) for figure in card.figures)))


def _figure(figure: CardFigure) -> tuple[str, ...]:
    of = ", ".join(part for part in (figure.source, figure.class_name) if part)
    return figure.name, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.cases), of


def _pairs(record: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", " "), str(value)) for name, value in record.items())
