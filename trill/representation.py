"""The one contract: everything that turns sound into numbers has this shape."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Representation(Protocol):
    """Packaged models, exported files, teachers, features of other libraries, a user's function.

    Pooling, batching, caching, scoring and plotting are written once, against this shape. There is no base class.
    """

    @property
    def name(self) -> str:
        """Unique and versioned: it keys every cache and every result."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz that `embed_windows` expects; callers resample through `trill.audio`."""
        ...

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` float32 to `(num_windows, dim)` float32."""
        ...
