"""wav2vec 2.0, HuBERT and WavLM from their definitions, in float64, one clip and one loop at a time.

`tensors` are the checkpoint's, without the family's prefix; `config` is its config.json.
"""

import math

import numpy as np


def hidden_states(tensors, config, waveform, frames=None):
    """`(num_samples,)`, as given to the convolutions, to `(layers + 1, num_frames, width)`; attention sees `frames`."""
    t = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    eps, stable = config["layer_norm_eps"], config["do_stable_layer_norm"]
    x = convolutions(t, config, np.asarray(waveform, np.float64)[:, None])
    if config.get("feat_proj_layer_norm", True):
        x = layer_norm(x, t, "feature_projection.layer_norm", eps)
    x = dense(x, t, "feature_projection.projection")
    frames = len(x) if frames is None else frames
    x[frames:] = 0
    x = x + positions(t, config, x)
    if not stable:
        x = layer_norm(x, t, "encoder.layer_norm", eps)
    states = [x]
    for index in range(config["num_hidden_layers"]):
        p = f"encoder.layers.{index}."
        if stable:
            x = x + attention(layer_norm(x, t, p + "layer_norm", eps), t, config, p + "attention", frames)
            x = x + feed_forward(layer_norm(x, t, p + "final_layer_norm", eps), t, p + "feed_forward")
        else:
            x = layer_norm(x + attention(x, t, config, p + "attention", frames), t, p + "layer_norm", eps)
            x = layer_norm(x + feed_forward(x, t, p + "feed_forward"), t, p + "final_layer_norm", eps)
        states.append(x)
    if stable:
        states[-1] = layer_norm(x, t, "encoder.layer_norm", eps)
    return np.array(states)


def convolutions(t, config, x):
    for index, (width, stride) in enumerate(zip(config["conv_kernel"], config["conv_stride"], strict=True)):
        name = f"feature_extractor.conv_layers.{index}"
        kernel = t[f"{name}.conv.weight"]  # (out, in, width)
        starts = range(0, len(x) - width + 1, stride)
        x = np.array([np.einsum("wi,oiw->o", x[start : start + width], kernel) for start in starts])
        x = x + t.get(f"{name}.conv.bias", 0)
        if config["feat_extract_norm"] == "layer":
            x = layer_norm(x, t, f"{name}.layer_norm", 1e-5)
        elif index == 0:
            x = layer_norm(x, t, f"{name}.layer_norm", 1e-5, axis=0)
        x = gelu(x)
    return x


def positions(t, config, x):
    """A convolution over frames, its kernel of norm `g` at each tap, groups of channels apart."""
    conv, width = "encoder.pos_conv_embed.conv", config["num_conv_pos_embeddings"]
    groups = config["num_conv_pos_embedding_groups"]
    names = ("weight_g", "weight_v")
    if f"{conv}.weight_g" not in t:
        names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    g, v = (t[f"{conv}.{name}"] for name in names)
    kernel = np.array([g[0, 0, tap] * v[:, :, tap] / np.linalg.norm(v[:, :, tap]) for tap in range(width)])
    size = x.shape[1] // groups
    output = np.zeros_like(x)
    for frame in range(len(x)):
        for tap in range(width):
            seen = frame + tap - width // 2
            if 0 <= seen < len(x):
                for group in range(groups):
                    part = slice(group * size, (group + 1) * size)
                    output[frame, part] += kernel[tap, part] @ x[seen, part]
    return gelu(output + t[f"{conv}.bias"])


def attention(x, t, config, name, frames):
    heads = config["num_attention_heads"]
    size = x.shape[1] // heads
    q, k, v = (dense(x, t, f"{name}.{letter}_proj") for letter in "qkv")
    attended = np.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for query in range(len(x)):
            scores = k[:frames, part] @ q[query, part] / math.sqrt(size)
            if config["model_type"] == "wavlm":
                scale = gate(x[query, part], t, name, head)
                scores = scores + [scale * relative(t, config, key - query, head) for key in range(frames)]
            weights = np.exp(scores - scores.max())
            attended[query, part] = weights @ v[:frames, part] / weights.sum()
    return dense(attended, t, f"{name}.out_proj")


def gate(query, t, name, head):
    """WavLM, equation 5 and below: 1 + an update of the scaled bias, in the form that was published as code."""
    eight = dense(query[None], t, f"{name}.gru_rel_pos_linear")[0]
    update, reset = (1 / (1 + math.exp(-part.sum())) for part in (eight[:4], eight[4:]))
    return update * (reset * t[f"{name}.gru_rel_pos_const"][0, head, 0, 0] - 1) + 2


def relative(t, config, distance, head):
    """T5's buckets, one distance at a time."""
    half = config["num_buckets"] // 2
    exact = half // 2
    bucket = abs(distance)
    if bucket >= exact:
        ratio = math.log(bucket / exact) / math.log(config["max_bucket_distance"] / exact)
        bucket = min(exact + int(ratio * (half - exact)), half - 1)
    return t["encoder.layers.0.attention.rel_attn_embed.weight"][bucket + (half if distance > 0 else 0), head]


def feed_forward(x, t, name):
    return dense(gelu(dense(x, t, f"{name}.intermediate_dense")), t, f"{name}.output_dense")


def dense(x, t, name):
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def layer_norm(x, t, name, eps, axis=-1):
    scaled = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)
    return scaled * t[f"{name}.weight"] + t[f"{name}.bias"]


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
