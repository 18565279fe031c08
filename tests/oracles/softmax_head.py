"""A softmax head that learns by momentum and weight decay, from the definition: one row, one class at a time.

Sutskever et al. 2013 (momentum as in PyTorch's SGD, v <- m v + g; w <- w - rate v), weight decay added to the gradient.
"""

import numpy as np


class SoftmaxHead:
    def __init__(self, num_classes, dim):
        self.weights = np.zeros((num_classes, dim))
        self.bias = np.zeros(num_classes)
        self.weights_velocity = np.zeros((num_classes, dim))
        self.bias_velocity = np.zeros(num_classes)
        self.active = np.ones(num_classes)

    def infer(self, embedding):
        """Scores and probabilities of one embedding, each `(num_classes,)`."""
        x = np.asarray(embedding, np.float64)
        x = x / np.sqrt(np.sum(x * x)) if x.any() else x
        scores = np.array([w @ x + b for w, b in zip(self.weights, self.bias, strict=True)])
        probabilities = np.zeros(len(scores))
        for c in np.flatnonzero(self.active):
            probabilities[c] = 1 / sum(np.exp(scores[k] - scores[c]) for k in np.flatnonzero(self.active))
        return scores, probabilities

    def train(self, embeddings, labels, sample_weights, learning_rate, momentum, weight_decay):
        """One step; the loss before it."""
        learning_rate, momentum, weight_decay = float(learning_rate), float(momentum), float(weight_decay)
        loss, total = 0.0, 0.0
        weights_gradient, bias_gradient = np.zeros_like(self.weights), np.zeros_like(self.bias)
        for embedding, label, sample_weight in zip(embeddings, labels, sample_weights.astype(float), strict=True):
            if not (0 <= label < len(self.active) and self.active[label]):
                continue
            _, probabilities = self.infer(embedding)
            x = np.asarray(embedding, np.float64)
            x = x / np.sqrt(np.sum(x * x)) if x.any() else x
            loss -= sample_weight * np.log(probabilities[label])
            total += sample_weight
            for c in np.flatnonzero(self.active):
                error = sample_weight * (probabilities[c] - (c == label))
                weights_gradient[c] += error * x
                bias_gradient[c] += error
        total = total or 1.0
        for c in np.flatnonzero(self.active):
            decayed = weights_gradient[c] / total + weight_decay * self.weights[c]
            self.weights_velocity[c] = momentum * self.weights_velocity[c] + decayed
            self.bias_velocity[c] = momentum * self.bias_velocity[c] + bias_gradient[c] / total
            self.weights[c] -= learning_rate * self.weights_velocity[c]
            self.bias[c] -= learning_rate * self.bias_velocity[c]
        return loss / total
