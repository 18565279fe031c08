"""Checkpoint files, sound and hostile, byte by byte."""

import json
import struct

import numpy as np

CONFIG = {"model_type": "wav2vec2"}
CONFIG_FILE = json.dumps(CONFIG).encode()
ONES = np.ones(2, np.float32).tobytes()


def row(start, end, dtype="F32", shape=(2,)):
    """A tensor's entry in the header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def safetensors(header, data=b"", *, length=None):
    """A file: `header` as an object or as bytes; `length` for a lie about its length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


SOUND = safetensors({"a": row(0, 8)}, ONES)


def checkpoint(folder, *, weights=SOUND, config=CONFIG_FILE, **files):
    """A folder with `config.json`, one file of weights and others; None leaves a file out."""
    named = {"config.json": config, "model.safetensors": weights, **files}
    for name, content in named.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


def sharded(folder, weight_map, **shards):
    """A folder with an index and the shards it may or may not name."""
    index = {"metadata": {"total_size": 16}, "weight_map": weight_map}
    files = {"model.safetensors.index.json": json.dumps(index).encode(), **shards}
    return checkpoint(folder, weights=None, **files)
