"""Muon for convolutions.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the scale of a step is Liu et al. 2025, arXiv:2502.16982,
section 2.2.
"""

import math
from typing import Any

import keras
from keras import ops

ORTHOGONALIZATIONS = 4  # of Newton and Schulz; the authors take 5, the last of which changes little
ADAM_RATIO = 1 / 3  # of Muon's rate


class Muon(keras.optimizers.Muon):
    """Keras' Muon, which takes matrices alone, for kernels of convolutions `(height, width, in, out)`.

    A kernel is a matrix `(height * width * in, out)`. What is left to Adam, at a third of the rate: kernels with one
    channel in or out (depthwise ones, a first layer's), everything that is no convolution. Matrices are orthogonalised
    in bfloat16, as the authors do. The two methods replaced are as they have been since Keras 3.13, and not public.
    """

    def __init__(self, learning_rate: Any, weight_decay: float | None, **kwargs: Any) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=weight_decay,
            adam_lr_ratio=ADAM_RATIO,
            ns_steps=ORTHOGONALIZATIONS,
            **kwargs,
        )

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 4 or min(variable.shape[2:]) == 1

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign(m, ops.add(gradient, m * self.momentum))
        nesterov = ops.reshape(ops.add(gradient, m * self.momentum), (-1, variable.shape[-1]))
        unit = ops.cast(nesterov / (ops.norm(nesterov) + 1e-7), "bfloat16")
        step = ops.cast(self.zeropower_via_newtonschulz5(unit, self.ns_steps), variable.dtype)
        far = self.rms_rate * math.sqrt(max(step.shape))
        self.assign_sub(variable, ops.reshape(lr * far * step, variable.shape))
