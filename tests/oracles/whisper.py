"""Whisper's front end and encoder written out from their definition: float64, one frame, position and head at a time.

Weights are called as the hub calls them, without a prefix.
"""

import math

import numpy as np


def hertz(mel):
    """Slaney's scale: 200/3 Hz a mel up to 1000 Hz, then a factor of 6.4 every 27."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def mel_filters(bands):
    """`(201, bands)`: triangles of area 1 between 0 and 8000 Hz."""
    highest = 15 + 27 * math.log(8) / math.log(6.4)
    edges = [hertz(highest * band / (bands + 1)) for band in range(bands + 2)]
    filters = np.zeros((201, bands))
    for band in range(bands):
        low, centre, high = edges[band : band + 3]
        for k in range(201):
            frequency = k * 40
            if low < frequency <= centre:
                filters[k, band] = (frequency - low) / (centre - low) * 2 / (high - low)
            elif centre < frequency < high:
                filters[k, band] = (high - frequency) / (high - centre) * 2 / (high - low)
    return filters


def log_mel(waveform, bands):
    """`(num_samples,)` to `(num_samples // 160, bands)`."""
    num_samples = len(waveform)
    filters = mel_filters(bands)
    rows = []
    for frame in range(num_samples // 160):
        windowed = []
        for n in range(400):
            position = frame * 160 + n - 200
            if position < 0:
                position = -position
            if position > num_samples - 1:
                position = 2 * (num_samples - 1) - position
            windowed.append(float(waveform[position]) * (0.5 - 0.5 * math.cos(2 * math.pi * n / 400)))
        spectrum = np.fft.rfft(windowed)
        rows.append([math.log10(max(1e-10, (abs(spectrum) ** 2 * filters[:, band]).sum())) for band in range(bands)])
    loudest = max(max(row) for row in rows)
    return np.array([[(max(value, loudest - 8) + 4) / 4 for value in row] for row in rows])


def gelu(x):
    return np.vectorize(lambda value: value * 0.5 * (1 + math.erf(value / math.sqrt(2))))(x)


def conv(x, weight, bias, stride):
    """Kernel of 3, one zero on each side."""
    padded = np.concatenate([np.zeros((1, x.shape[1])), x, np.zeros((1, x.shape[1]))])
    return np.array(
        [sum(weight[:, :, k] @ padded[start + k] for k in range(3)) + bias for start in range(0, len(x), stride)]
    )


def norm(x, gamma, beta):
    return np.array([(row - row.mean()) / math.sqrt(row.var() + 1e-5) for row in x]) * gamma + beta


def hidden_states(log_mel_frames, weights, heads, blocks):
    """States before, between and after the blocks; the last after the final norm."""
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    x = gelu(conv(log_mel_frames, w["conv1.weight"], w["conv1.bias"], 1))
    x = gelu(conv(x, w["conv2.weight"], w["conv2.bias"], 2))
    x = x + w["embed_positions.weight"][: len(x)]
    states = [x]
    size = x.shape[1] // heads
    for block in range(blocks):
        b = {name.removeprefix(f"layers.{block}."): v for name, v in w.items() if name.startswith(f"layers.{block}.")}
        y = norm(x, b["self_attn_layer_norm.weight"], b["self_attn_layer_norm.bias"])
        q = y @ b["self_attn.q_proj.weight"].T + b["self_attn.q_proj.bias"]
        k = y @ b["self_attn.k_proj.weight"].T
        v = y @ b["self_attn.v_proj.weight"].T + b["self_attn.v_proj.bias"]
        mixed = np.zeros_like(x)
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            for i in range(len(x)):
                attention = np.exp([q[i, own] @ k[j, own] / math.sqrt(size) for j in range(len(x))])
                mixed[i, own] = attention / attention.sum() @ v[:, own]
        x = x + mixed @ b["self_attn.out_proj.weight"].T + b["self_attn.out_proj.bias"]
        y = norm(x, b["final_layer_norm.weight"], b["final_layer_norm.bias"])
        y = gelu(y @ b["fc1.weight"].T + b["fc1.bias"])
        x = x + y @ b["fc2.weight"].T + b["fc2.bias"]
        states.append(x)
    states[-1] = norm(x, w["layer_norm.weight"], w["layer_norm.bias"])
    return states
