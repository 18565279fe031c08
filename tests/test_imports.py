"""Importing stays light, and public names are found."""

import subprocess
import sys

import pytest

import trill

HEAVY = ("keras", "tensorflow", "jax", "torch", "sklearn", "pandas", "scipy", "pyarrow")
LOADED = "import sys; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
EMBED = """
import numpy, trill
trill.embed(trill.example("anna_calm"))
trill.embed(numpy.zeros(48_000), 48_000, pooling=None)
trill.load().stream().push(numpy.zeros(100))
"""


def packages_of(code):
    """Top-level packages that a fresh interpreter has loaded after running the code."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{LOADED}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_only_the_standard_library():
    assert packages_of("import trill") - set(sys.stdlib_module_names) - packages_of("") == {"trill"}


@pytest.mark.parametrize("code", [EMBED, "import trill.cli, trill.batch, trill.manifests, trill.hear, trill.tables"])
def test_embedding_loads_nothing_heavy(code):
    assert packages_of(code).isdisjoint(HEAVY)


def test_a_heavy_import_would_be_seen():
    assert "scipy" in packages_of("import trill, scipy")


def test_public_names_resolve():
    assert set(trill.__all__) == {*trill._PUBLIC, "__version__"}
    for name in trill.__all__:
        assert getattr(trill, name) is not None
        assert name in dir(trill)
    names = {}
    exec("from trill import *", names)  # noqa: S102
    assert set(trill.__all__) <= set(names)


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'embedd'\. It has: .*, embed, .*, load\.$"):
        trill.embedd  # noqa: B018
