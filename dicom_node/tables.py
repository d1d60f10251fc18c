"""What the commands show: records as tables for people, and as JSON for machines; computes nothing."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from dicom_node.checks import Check, Verdict
from dicom_node.domain.calls import Call, CallOutcome, RefusedContext
from dicom_node.domain.status import StudyStatus
from dicom_node.scp import name_of
from dicom_node.summary import StudySummary
from dicom_node.validator_messages import Message, Weight
from dicom_node.validators import Tool
from inference.evaluation.figures import Table as Content
from inference.registry import BrokenPackage, InstalledVersion

if TYPE_CHECKING:  # these import torch, and `status` shall answer at once
    from dicom_node.demo import DemoStudy
    from dicom_node.offline import AnalysedFolder
    from dicom_node.validating import Validation
    from inference.evaluation.figures import Evaluation

_WEIGHTS = {Weight.ERROR: "red", Weight.WARNING: "yellow", Weight.QUIRK: "dim"}
_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}


#: Result of a presentation context (PS3.8 Table 9-18) -> why.
_CONTEXT_RESULTS = {
    3: "this node does not offer it",
    4: "in no transfer syntax that this node takes",
}


def check_table(checks: Iterable[Check], title: str = "check") -> Table:
    """One row a check."""
    table = _table(title, "check", "", "detail")
    for check in checks:
        _add(table, check.subject, Text(check.verdict, _COLOURS[check.verdict]), check.detail)
    return table


def checks_json(checks: Iterable[Check]) -> str:
    """One record a check."""
    return json.dumps([asdict(check) for check in checks], indent=2)


def calls_table(calls: Sequence[Call], own_ae_title: str) -> Table:
    """Who called this node, how that ended, and what would change it."""
    table = _table(f"who called {own_ae_title}", "last", "times", "caller", "called", "", "reason", "remedy")
    for call in calls:
        refused = [_refusal(context) for context in call.refused]
        _add(
            table,
            time_text(call.last_at) or "",
            str(call.count),
            f"{call.calling_ae_title or '?'} from {call.address}",
            call.called_ae_title,
            Text(call.outcome, "green" if call.outcome is CallOutcome.ACCEPTED else "red"),
            "\n".join([call.reason, *refused]),
            call.remedy,
        )
    return table


def calls_json(calls: Sequence[Call], own_ae_title: str) -> str:
    """The same; times are ISO 8601, UTC."""
    records = [
        asdict(call)
        | {"own_ae_title": own_ae_title, "first_at": time_text(call.first_at), "last_at": time_text(call.last_at)}
        | {"refused": [asdict(context) | {"reason": _refusal(context)} for context in call.refused]}
        for call in calls
    ]
    return json.dumps(records, indent=2)


def _refusal(context: RefusedContext) -> str:
    syntaxes = ", ".join(map(name_of, context.transfer_syntaxes))
    why = _CONTEXT_RESULTS.get(context.result, f"result {context.result}")
    return f"{name_of(context.abstract_syntax)} ({syntaxes}): {why}"


def demo_table(studies: Sequence[DemoStudy]) -> Table:
    """What each study of the demonstration came to."""
    table = _table("demo", "study", "seen", "found", "not analysed, and why", "results", "settled s", "then s")
    for study in studies:
        summary = study.summary
        truth = "" if study.phantom.lesion_volume_ml is None else f" (true: {study.phantom.lesion_volume_ml:.1f} ml)"
        results = Text(", ".join(result.modality for result in study.results))
        _add(
            table,
            study.phantom.kind,
            summary.seen if summary else study.state,
            (summary.found or "nothing looked for") + truth if summary else "",
            summary.not_analysed if summary else study.reason,
            results if study.is_complete else results.append(" incomplete", "red"),
            _number(study.settled_s),
            _number(study.seconds),
        )
    return table


def analysis_table(studies: Sequence[AnalysedFolder]) -> Table:
    """What each study of a folder came to."""
    table = _table("analyze", "study", "seen", "found", "not analysed, and why", "results")
    for study in studies:
        summary = study.summary
        number = str(len(study.results))
        _add(table, summary.study_instance_uid, summary.seen, summary.found, summary.not_analysed, number)
    return table


def status_table(studies: Sequence[StudyStatus]) -> Table:
    """How each study stands."""
    columns = ("images", "urgency", "state", "outcome", "seen, found", "reason", "deliveries")
    table = _table("status", "study", "received", *columns)
    for study in studies:
        summary = StudySummary.model_validate_json(study.summary) if study.summary else None
        told = "; ".join(part for part in (summary.seen, summary.found) if part) if summary else ""
        fates = Counter(f"{delivery.peer} {delivery.state_in_words}" for delivery in study.deliveries)
        _add(
            table,
            study.study_instance_uid,
            time_text(study.received_at) or "",
            str(study.image_count),
            study.urgency or "",
            str(study.state),
            study.outcome or "",
            told,
            study.reason,
            ", ".join(f"{count} {fate}" for fate, count in fates.items()),
        )
    return table


def status_json(studies: Sequence[StudyStatus]) -> str:
    """How each study stands; times are ISO 8601, UTC."""
    return json.dumps([status_record(study) for study in studies], indent=2, default=str)


def models_table(versions: Sequence[InstalledVersion]) -> Table:
    """Every version of every model package."""
    table = _table("models", "package", "version", "active", "task", "answers", "figures", "state")
    for each in versions:
        active = "active" if each.active else ""
        if isinstance(each.package, BrokenPackage):
            _add(table, each.name, each.number, active, "", "", "", Text(each.package.reason, "red"))
            continue
        card = each.package.card
        answers = "; ".join(f"{question}: {', '.join(classes)}" for question, classes in card.questions.items())
        figures = ", ".join(f"{key} {value:g}" for key, value in card.metrics.items())
        _add(table, each.name, card.version, active, card.task, answers, figures, Text("ok", "green"))
    return table


def models_json(versions: Sequence[InstalledVersion]) -> str:
    """Every version of every model package with its whole card."""
    records: list[dict[str, object]] = []
    for each in versions:
        record: dict[str, object] = {"package": each.name, "version": each.number, "active": each.active}
        if isinstance(each.package, BrokenPackage):
            records.append({**record, "state": "broken", "reason": each.package.reason})
        else:
            records.append({**record, "state": "ok", "card": each.package.card.model_dump(mode="json")})
    return json.dumps(records, indent=2)


def plain_table(content: Content) -> Table:
    """A table of text, on a terminal."""
    table = _table(content.title, *content.header)
    for row in content.rows:
        _add(table, *row)
    return table


def evaluation_table(evaluation: Evaluation) -> Table:
    """Every figure with its interval."""
    table = _table(f"{evaluation.package} {evaluation.version}", "figure", "value", "95 % interval", "cases")
    for figure in evaluation.figures:
        _add(table, figure.name, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.cases))
    return table


def validation_table(validation: Validation) -> Table:
    """One row a message; a quirk of a tool once, however many files have it."""
    table = _table("validate", "file", "kind", "told by", "", "rule", "which means")
    quirks: Counter[Message] = Counter()
    for file in validation.files:
        told = [message for message in file.messages if message.weight is not Weight.QUIRK]
        quirks.update(message for message in file.messages if message.weight is Weight.QUIRK)
        if not told:
            _add(table, file.path.name, file.kind, "", Text("ok", "green"), "", "")
        for message in told:
            _add(table, file.path.name, file.kind, *_message_cells(message))
    for message in validation.together:
        _add(table, "all together", "", *_message_cells(message))
    for message, files in quirks.items():
        _add(table, f"{files} files", "", *_message_cells(message))
    return table


def validation_remarks(validation: Validation) -> Iterator[str]:
    """What was not looked at, or not by everybody, and the sum."""
    for path in validation.passed_over:
        yield f"passed over {path}: it is no DICOM file"
    for tool in validation.missing:
        yield f"not found: {tool.name}, of the package {tool.package}"
    yield f"{validation.errors} errors in {len(validation.files)} DICOM files"


def validation_json(validation: Validation) -> str:
    """Every message of every file, and which tools there were."""
    record = {
        "errors": validation.errors,
        "tools": {"found": _names(validation.installed), "not found": _names(validation.missing)},
        "files": [
            {"path": str(file.path), "kind": file.kind, "messages": [asdict(message) for message in file.messages]}
            for file in validation.files
        ],
        "together": [asdict(message) for message in validation.together],
        "passed_over": [str(path) for path in validation.passed_over],
    }
    return json.dumps(record, indent=2)


def _names(tools: Iterable[Tool]) -> list[str]:
    return [tool.name for tool in tools]


def _message_cells(message: Message) -> tuple[str | Text, ...]:
    weight = Text(message.weight, _WEIGHTS[message.weight])
    return message.tool, weight, message.rule, message.explanation


def _table(title: str, *columns: str) -> Table:
    """A table that breaks long cells and cuts none."""
    return Table(*(Column(name, overflow="fold") for name in columns), title=title)


def _add(table: Table, *cells: str | Text) -> None:
    """One row, every character as it is: rich would take a path's [brackets] and :colons: for markup of its own."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def status_record(study: StudyStatus) -> dict[str, object]:
    """How a study stands, for JSON."""
    record = asdict(study)
    for key in ("received_at", "last_image_at", "settled_at", "finished_at"):
        record[key] = time_text(record[key])
    record["summary"] = json.loads(study.summary) if study.summary else None
    return record


def time_text(seconds: float | None) -> str | None:
    """A time in seconds since the epoch as ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
