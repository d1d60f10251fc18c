"""One study on one screen: read, analyse, encode. Read this file first.

It touches no network and no database; who calls it says where files come from and what becomes of the results.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dicom_node.domain.delivery import EarlierReport
from dicom_node.reader import LoadedStudy, LoadSettings, load_study
from dicom_node.results import Addressed, Signed, profiles_without, results_for
from inference.cascade import Shelf, run_cascade
from inference.findings import Analysis, HeatMap, StageRun, VolumeAnalysis
from inference.quality import judge
from inference.stages import Cascade
from inference.volume import Volume
from sr_writer.profiles import Profile
from sr_writer.provenance import Equipment

Explain = Callable[[Volume, tuple[StageRun, ...], Cascade, Shelf], tuple[HeatMap, ...]]


@dataclass(frozen=True, slots=True)
class Engine:
    """What an analysis needs besides the study: how to read, what to ask, whom to ask, who signs."""

    load: LoadSettings
    cascade: Cascade
    shelf: Shelf
    equipment: Equipment
    #: What is made, and the names of the destinations that it is made for.
    profiles: Mapping[Profile, tuple[str, ...]]
    #: Makes the heat maps of a volume's answers; None: there are none.
    explain: Explain | None = None

    def without(self, refused: Mapping[str, Collection[str]]) -> Engine:
        """The same for destinations that refuse SOP classes, by name."""
        return replace(self, profiles=profiles_without(self.profiles, refused))


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedStudy:
    """What is known of a study, and the result objects that say so, in sending order."""

    analysis: Analysis
    objects: tuple[Addressed, ...]
    loaded: LoadedStudy


def analyse_study(
    study_instance_uid: str,
    paths: Sequence[Path],
    engine: Engine,
    when: datetime.datetime,
    earlier: Sequence[EarlierReport] = (),
) -> AnalysedStudy:
    """From the files of one study to its result objects. `when` is the start of the analysis, aware UTC; `earlier` are
    the reports of earlier jobs of the study, newest first."""
    loaded = load_study(study_instance_uid, paths, engine.load)
    analysis = analyse(study_instance_uid, loaded, engine)
    signed = Signed(loaded.headers, engine.equipment, when)
    objects = results_for(analysis, signed, engine.profiles, earlier) if loaded.headers else ()
    return AnalysedStudy(analysis, objects, loaded)


def analyse(study_instance_uid: str, loaded: LoadedStudy, engine: Engine) -> Analysis:
    """Every volume through the cascade."""
    volumes = tuple(analyse_volume(volume, engine) for volume in loaded.volumes)
    return Analysis(study_instance_uid, volumes, loaded.exclusions)


def analyse_volume(volume: Volume, engine: Engine) -> VolumeAnalysis:
    """One volume: is it fit, and what is it?"""
    quality, shadows = judge(volume), engine.cascade.shadows
    runs = run_cascade(volume, engine.cascade, engine.shelf, quality)
    reported = tuple(run for run in runs if run.stage not in shadows)
    heat_maps = engine.explain(volume, reported, engine.cascade, engine.shelf) if engine.explain else ()
    return VolumeAnalysis(volume, reported, quality, tuple(run for run in runs if run.stage in shadows), heat_maps)
