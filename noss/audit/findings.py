"""What an audit found: findings as data, and as text for a terminal, Markdown or JSON."""

import json
import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

# ok: nothing found, or only information; look: may explain a score; broken: a score does not mean what it says.
Verdict = Literal["ok", "look", "broken", "skipped"]

WIDTH = 100
SHOWN = 5  # names in a sentence


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Args:
        section: "List", "Speakers", "Classes", "Copies", "Leaks" or "Inflation".
        check: what was asked, in a word or two; unique in its section.
        verdict: "skipped" if it could not be asked; `said` has the reason.
        said: the answer, with its numbers.
        advice: what to do, or what it means for a score.
        values: the numbers; what JSON can hold.
    """

    section: str
    check: str
    verdict: Verdict
    said: str
    advice: str = ""
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """What is known about the trust that a score on a corpus deserves.

    Args:
        task, task_version, kind, metric, split: of the task.
        num_clips: that have a file and a label.
        num_speakers: known ones.
        num_labels: classes, or distinct numbers.
        seconds: of sound that could be decoded.
        findings: by section.
        unchecked: what no program can know from these files.
    """

    task: str
    task_version: str
    kind: str
    metric: str
    split: str
    num_clips: int
    num_speakers: int
    num_labels: int
    seconds: float
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings."""
        found = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in ("broken", "look") if verdict in found), "ok")

    def of(self, section: str, check: str) -> Finding:
        """One finding.

        Raises:
            KeyError: if there is none.
        """
        for finding in self.findings:
            if (finding.section, finding.check) == (section, check):
                return finding
        raise KeyError(f"{section}: {check}")

    def json(self) -> str:
        """All of it, with the verdict; numbers that are none are null."""
        return json.dumps({"verdict": self.verdict, **_plain(asdict(self))}, indent=1, ensure_ascii=False)

    def text(self) -> str:
        """For a terminal, a hundred columns wide."""
        lines = [self._headline()]
        for section, some in _by_section(self.findings).items():
            lines += ["", section]
            for finding in some:
                lines += _wrapped(f"{finding.check}: {finding.said}", f"  {finding.verdict:8s}")
                lines += _wrapped(finding.advice, "          -> ") if finding.advice else []
        lines += ["", "Not checked"]
        for sentence in self.unchecked:
            lines += _wrapped(sentence, "  - ")
        return "\n".join([*lines, "", self._summary()])

    def markdown(self) -> str:
        """For a file beside the corpus."""
        lines = [f"# Audit of {self.task}", "", self._headline(), "", self._summary()]
        for section, some in _by_section(self.findings).items():
            lines += ["", f"## {section}", ""]
            lines += [
                f"- **{each.verdict}** {each.check}: {' '.join([each.said, each.advice]).strip()}" for each in some
            ]
        return "\n".join([*lines, "", "## Not checked", "", *(f"- {sentence}" for sentence in self.unchecked), ""])

    def _headline(self) -> str:
        return (
            f"{self.task}: {self.num_clips} clips, {self.num_speakers} known speakers, {self.num_labels} "
            f"{'values' if self.kind == 'regression' else 'classes'}, {self.seconds / 60:.1f} min; "
            f"{self.metric}, split: {self.split}"
        )

    def _summary(self) -> str:
        checks = {
            verdict: [f"{each.section.lower()}/{each.check}" for each in self.findings if each.verdict == verdict]
            for verdict in ("broken", "look")
        }
        told = [f"{verdict}: {', '.join(names)}" for verdict, names in checks.items() if names]
        return "\n".join(told) or "ok: nothing was found that makes a score on this corpus doubtful"


def some(names: list[str]) -> str:
    """A few of them, and how many more.

    >>> some(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, what: str) -> str:
    """A number and a noun.

    >>> counted(1, "clip"), counted(2, "clip")
    ('1 clip', '2 clips')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def between(low: int, high: int) -> str:
    """A range, or one number.

    >>> between(2, 3), between(2, 2)
    ('2 to 3', '2')
    """
    return str(low) if low == high else f"{low} to {high}"


def _by_section(findings: tuple[Finding, ...]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.section, []).append(finding)
    return found


def _wrapped(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=" " * max(len(prefix), 4),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
