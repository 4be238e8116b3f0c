"""What a check found, as data."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pixalign.checking.scan import Looked
from pixalign.data.masks import Labels
from pixalign.text import number_of


@dataclass(frozen=True)
class Example:
    """A file that shows a problem.

    Attributes:
        file: its path, below the data's folder where it lies there.
        note: what is the matter with it.
        split, index: the pair; index -1 where there is none.
    """

    file: str
    note: str = ""
    split: str = ""
    index: int = -1


@dataclass
class Problem:
    """One kind of problem, with every file that has it.

    Attributes:
        kind: a short key, such as ``label-values``.
        severity: ``error`` (training would stop, or learn something wrong) or ``warning``.
        title: what is wrong.
        remedy: what to do about it.
        examples: all files concerned.
        details: further lines, such as the label values with their counts.
        snippet: lines to paste into classes.yaml.
    """

    kind: str
    severity: Literal["error", "warning"]
    title: str
    remedy: str
    examples: list[Example] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    snippet: str = ""

    @property
    def heading(self) -> str:
        """The title and the number of files."""
        return f"{self.title} ({number_of(len(self.examples), 'file')})" if self.examples else self.title


@dataclass
class Report:
    """What a check found.

    Attributes:
        source: the data's folder, or what else to call it.
        labels: the classes; where they cannot be told, the values that the masks hold.
        splits: what they hold.
        problems: errors come first.
        layout: what a folder was recognized as, in a line; otherwise empty.
    """

    source: str
    labels: Labels
    splits: list[Looked] = field(repr=False)
    problems: list[Problem]
    layout: str = ""

    def of(self, severity: str) -> list[Problem]:
        """The problems of a severity."""
        return [problem for problem in self.problems if problem.severity == severity]

    @property
    def ready(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def verdict(self) -> str:
        """The result in plain words."""
        errors, warnings = (number_of(len(self.of(kind)), kind) for kind in ("error", "warning"))
        if self.ready:
            return f"Ready to train, with {warnings}" if self.problems else "Ready to train"
        return f"{errors}: training would stop or go wrong" + (f" (and {warnings})" if self.of("warning") else "")

    def summary(self) -> str:
        """One line that names the errors."""
        errors = self.of("error")
        listed = "; ".join(problem.heading for problem in errors[:3]) + (" ..." if len(errors) > 3 else "")
        return f"{self.source}: {number_of(len(errors), 'error')} in the data" + (f": {listed}" if errors else "")

    def to_json(self) -> dict[str, Any]:
        """Everything that was found, as plain data."""
        return {
            "format": 1,
            "source": self.source,
            "layout": self.layout,
            "verdict": self.verdict(),
            "errors": len(self.of("error")),
            "warnings": len(self.of("warning")),
            "classes": [{"name": n, "color": c} for n, c in zip(self.labels.classes, self.labels.colors)],
            "splits": {
                split.name: {
                    "pairs": len(split.pairs),
                    "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in split.sizes.most_common()],
                    "labeled_share": split.labeled(),
                    "labeled_pixels": int(split.pixels.sum()),
                    "unlabeled_pixels": split.unlabeled,
                    "classes": [
                        {"name": name, "pixels": pixels, "share": share, "images": images}
                        for name, pixels, share, images in zip(
                            self.labels.classes, split.pixels.tolist(), split.shares(), split.images.tolist()
                        )
                    ],
                }
                for split in self.splits
            },
            "problems": [
                {
                    "kind": problem.kind,
                    "severity": problem.severity,
                    "title": problem.title,
                    "count": len(problem.examples),
                    "remedy": problem.remedy,
                    "details": problem.details,
                    "classes_yaml": problem.snippet,
                    "files": [{"file": e.file, "note": e.note, "split": e.split} for e in problem.examples],
                }
                for problem in self.problems
            ],
        }
