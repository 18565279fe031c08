"""The log of a run as TensorBoard reads it."""

import functools
import time
from collections.abc import Callable
from pathlib import Path

from trill.errors import optional


def writer(folder: Path) -> Callable[[dict[str, float]], None]:
    """A function that adds a line of a run's log to an event file in `folder`, made with the first line.

    A file for each start of a run. `log.csv` is exact, this is not: a kill may cost it a line, or put one in twice.

    Raises:
        MissingPackageError: if TensorBoard is not installed.
    """
    optional("tensorboard", "train")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    file = functools.cache(lambda: EventFileWriter(str(folder)))

    def write(row: dict[str, float]) -> None:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name != "step"]
        file().add_event(Event(step=int(row["step"]), wall_time=time.time(), summary=Summary(value=values)))
        file().flush()

    return write
