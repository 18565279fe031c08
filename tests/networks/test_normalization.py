"""The fused layer is Keras' own: outputs, gradients, moving averages, with and without training, in both precisions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trill.networks.blocks import depthwise
from trill.networks.normalization import BatchNormalization


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 2e-5), ("mixed_bfloat16", 2e-2)])
def test_it_is_keras_own(training, policy, tolerance):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(3, 2, (2, 3, 4, 5)), tf.float32)  # 24 values a channel: Bessel's correction shows
    weigh = rng.normal(size=x.shape).astype(np.float32)
    found = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.9, dtype=policy)
        layer.build(x.shape)
        layer.set_weights([np.float32(range(1, 6)), np.float32(range(5)), np.full(5, 2.0), np.full(5, 3.0)])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, "float32") * weigh)
        assert y.dtype == layer.compute_dtype
        gradients = tape.gradient(loss, [x, layer.gamma, layer.beta])
        found.append([np.asarray(tf.cast(value, "float32")) for value in (y, *gradients, *layer.get_weights())])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def test_frozen_it_keeps_its_statistics():
    layer = BatchNormalization()
    layer.build((None, 2, 2, 3))
    layer.trainable = False
    before = layer.get_weights()
    layer(np.ones((1, 2, 2, 3), np.float32), training=True)
    np.testing.assert_array_equal(before, layer.get_weights())


def test_convolutions_that_stride_stay_float32_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((8, 8, 4))
        for stride, dtype in ((1, "bfloat16"), (2, "float32")):
            network = keras.Model(inputs, depthwise(inputs, 3, stride=stride, batch_norm=True, name="it"))
            assert network.get_layer("it").compute_dtype == dtype
    finally:
        keras.config.set_dtype_policy("float32")
