"""The project's own rules for result objects: pure functions over data sets, each with a name and a sentence.

They hold what validators of IODs do not: templates, coordinates, references between objects, what viewers need, and
that every object says it is for research. Nothing here changes a data set, and no sentence quotes a value.
"""

from sr_writer.checks.problem import Problem, Sources
from sr_writer.checks.registry import check_object, is_result_kind
from sr_writer.checks.together import check_together

__all__ = ["Problem", "Sources", "check_object", "check_together", "is_result_kind"]
