"""The report: a dataset as one HTML file for people, a Markdown summary, and the charts as files.

`view` narrows the dataset to a scenario's valid cells, `answers` says which side is shown to be
better, `figures`, `charts` and `background` lay out the rest, and `page` writes all of it by the
templates. Every number is a `words.Number`, which knows where it came from.
"""

from extract.report.page import write
from extract.report.view import Run

__all__ = ["Run", "write"]
