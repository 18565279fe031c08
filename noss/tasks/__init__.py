"""What a representation is judged on: corpora and label rules as rows, and their readers.

>>> from noss.tasks import TASKS, load
>>> TASKS["crema_d"].metric, TASKS["crema_d"].split
('accuracy', 'speakers')
>>> load("crema_d")  # doctest: +ELLIPSIS
Traceback (most recent call last):
...
noss.tasks.task.CorpusError: CREMA-D must be unpacked in a folder, got none.
Get it: https://github.com/CheyneyComputerScience/CREMA-D (ODbL 1.0). Pass the folder that holds
    AudioWAV/1001_DFA_ANG_XX.wav
    ...

A task is a row: `noss.tasks.paper` has those of the TRILL paper, `noss.tasks.others` those of other papers. A corpus
whose file names say everything needs no code, only a pattern (`noss.tasks.files.by_name`). A user's own corpus is a
manifest (`manifest_task`), many of them a folder (`pack_tasks`).
"""

import dataclasses

from noss.tasks.figures import figures
from noss.tasks.loading import load, load_trials
from noss.tasks.manifest import manifest_task, pack_tasks
from noss.tasks.others import TASKS as _OTHERS
from noss.tasks.paper import TASKS as _PAPER
from noss.tasks.task import Corpus, CorpusError, Figure, Task, Trials, Utterance

TASKS: dict[str, Task] = {
    task.name: dataclasses.replace(task, figures=figures(task.name)) for task in (*_PAPER, *_OTHERS)
}

__all__ = [
    "TASKS",
    "Corpus",
    "CorpusError",
    "Figure",
    "Task",
    "Trials",
    "Utterance",
    "load",
    "load_trials",
    "manifest_task",
    "pack_tasks",
]
