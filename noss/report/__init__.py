"""`noss report`: what a folder of results says, as a page, as Markdown and as CSV."""

import os
from collections.abc import Callable
from pathlib import Path

from trill.errors import MissingPackageError, optional
from trill.files import write_atomically

__all__ = ["write"]


def write(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    map_task: str = "",
    of: str = "",
    sounds: str | os.PathLike[str] | None = None,
    embed_megabytes: float = 0,
    rounds: int = 10_000,
    quiet: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Write `index.html`, `report.md` and `scores.csv`, each whole.

    Args:
        folder: of results; its folder `embeddings` holds those for the map.
        output: folder, made if missing.
        map_task: the task that is laid out in the plane; empty: one of those with few classes, if it can be; "none".
        of: a representation, or an unambiguous part of its name, for map and confusions; empty: the best.
        sounds: folder of the clips of the map, where the results do not say or it moved.
        embed_megabytes: of sound in the page.
        rounds: draws of speakers for each interval.
        quiet: no progress bars.
        say: told what takes long.

    Returns:
        The page.

    Raises:
        ValueError: if there are no scores, a name means no representation or several, or the map that is asked for
            cannot be made.
        MissingPackageError: if jinja2, or for a map that is asked for umap-learn, is not installed.
    """
    optional("jinja2", "noss")
    from noss import results
    from noss.report import collect, tables
    from noss.report.maps import choose, clips_folder, view
    from noss.report.page import page
    from noss.report.projection import MapError, project

    found = collect.sections(results.load_all(folder), rounds=rounds, quiet=quiet)
    chosen = collect.chosen(found, of)
    target = Path(output) / "index.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    maps, remarks = {}, {}
    for section in found if map_task != "none" else ():
        try:
            label = chosen[section.protocol]
            result = choose(section, map_task, label)
            clips = clips_folder(section, result, sounds)
            laid = project(result, Path(folder) / "embeddings", clips, quiet=quiet, say=say)
            who = next(row.short for row in section.rows if row.label == label)
            maps[section.protocol] = view(laid, who, target, embed_megabytes=embed_megabytes)
        except (MapError, MissingPackageError) as error:
            if map_task and section is found[-1] and not maps:
                raise
            remarks[section.protocol] = [f"There is no map: {error}"]
    files = {
        "scores.csv": tables.scores_csv(found),
        "report.md": tables.markdown(found),
        "index.html": page(found, maps=maps, remarks=remarks, of=chosen, rounds=rounds),
    }
    for name, text in files.items():
        with write_atomically(target.parent / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return target
