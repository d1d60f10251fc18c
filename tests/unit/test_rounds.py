"""What benchmarks tell of their rounds."""

import json

from benchmarks.rounds import Figure, Ratio, in_rounds, machine, report
from benchmarks.table import page


def test_every_case_has_its_turn_in_every_round():
    """One after the other, so that a slow minute is everybody's."""
    order = []
    cases = {name: lambda name=name: order.append(name) or float(len(order)) for name in "ab"}
    figures = in_rounds(cases, 3)
    assert "".join(order) == "ababab"
    assert figures == {"a": Figure((1.0, 3.0, 5.0)), "b": Figure((2.0, 4.0, 6.0))}
    assert figures["a"].median == 3.0


def test_a_missed_goal_is_told_on_the_page(tmp_path, capsys):
    """As the file has it, with what was promised."""
    ratios = [Ratio("a to b", 0.5, 0.9), Ratio("b to a", 2.0, 1.6), Ratio("told only", 1.0)]
    figures = {"a": Figure((1.0, 2.0, 9.0))}
    report("sending", "images/s", figures, ratios, on=machine(), file=tmp_path / "send.json")
    assert "a to b: 0.50 (goal 0.9)  MISSED" in capsys.readouterr().out
    told = page({"send": json.loads((tmp_path / "send.json").read_text())})
    assert "| a | 2 (1 to 9) |" in told
    assert "| a to b | 0.50 | 0.9 | **missed** |" in told
    assert "| b to a | 2.00 | 1.6 | met |" in told
    assert "| told only | 1.00 |  |  |" in told
    assert "python -m benchmarks.send" in told
