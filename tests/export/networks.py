"""Networks that eight bits find hard."""

import numpy as np

from trill.networks.saving import build


def one_is_huge(tiny, layer, after, value=1e5):
    """A network as good as ever, of which one channel is huge after `layer` and unused in `after`, a depthwise one."""
    network = build(tiny.config)
    network.set_weights(tiny.network.get_weights())
    weights = {weight.path: weight for weight in network.weights}
    bias, kernel = weights[f"{layer}/bias"], weights[f"{after}/kernel"]
    bias.assign(np.eye(bias.shape[0])[0] * value)
    kernel.assign(kernel.numpy() * (np.arange(kernel.shape[2]) > 0)[:, None])
    return network
