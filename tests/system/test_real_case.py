"""A real patient with a lower grade glioma goes through the line."""

from tests.builders.network import saved
from tests.builders.real_cases import lgg_case, lgg_patients
from tests.builders.results import by_modality, dice, mask_of
from tests.builders.validators import dciodvfy_errors


def test_a_real_tumour_is_outlined(line, tmp_path):
    """Sent by DCMTK, outlined with a Dice of 0.6 at least, and every result keeps to its IOD."""
    case = lgg_case(lgg_patients()[0])
    line.send([saved(instance, tmp_path) for instance in case.instances])
    answer = line.answer(case.instances[0].StudyInstanceUID)
    results = by_modality(answer)
    assert sorted(results) == ["OT", "PR", "SEG", "SR"]
    assert dice(mask_of(results["SEG"][0], case.instances), case.mask) >= 0.6
    assert [dciodvfy_errors(path) for path in answer] == [[]] * len(answer)
