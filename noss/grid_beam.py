"""The grid as a pipeline of Apache Beam: one machine or many, whatever its runner does. Extra `beam`.

Every worker needs the same paths: the corpora, and the output, where results and embeddings go. What is there already
is not in the pipeline.
"""

import json
import shlex
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from noss.cells import Job, answer
from trill.errors import optional


def answers(todo: list[Job], runner: str, threads: int = 2) -> Iterator[tuple[Job, str, str]]:
    """Answer jobs; each as `noss.cells.answer` does.

    Args:
        todo: what is missing.
        runner: name of a runner, and its options: "DirectRunner", or "FlinkRunner --flink_master=host:8081".
        threads: sounds embedded at once.

    Yields:
        A job, a setting, and why there is no score of it; when the pipeline is through.

    Raises:
        MissingPackageError: if Apache Beam is not installed.
        ValueError: if there is no such runner.
    """
    beam = optional("apache_beam", "beam")
    name, *options = shlex.split(runner)
    pipeline_options = optional("apache_beam.options.pipeline_options", "beam").PipelineOptions(
        [f"--runner={name}", *options]
    )
    with tempfile.TemporaryDirectory(dir=todo[0].output, prefix=".beam-") as folder:
        with beam.Pipeline(options=pipeline_options) as pipeline:
            jobs = pipeline | beam.Create(list(enumerate(todo))) | beam.Reshuffle()
            said = jobs | beam.Map(partial(_answer, threads=threads))
            said | beam.io.WriteToText(str(Path(folder) / "said"))
        for file in sorted(Path(folder).glob("said*")):
            for line in file.read_text(encoding="utf-8").splitlines():
                number, found = json.loads(line)
                yield from ((todo[number], setting, error) for setting, error in found)


def _answer(numbered: tuple[int, Job], threads: int) -> str:
    number, job = numbered
    return json.dumps([number, list(answer(job, threads=threads, quiet=True))])
