"""Keras networks that tf2onnx writes: channels last inside, preprocessing among the layers."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from benchmarks.models.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLASSES = 6


def entries() -> Iterator[Entry]:
    """Return the Keras models."""
    for name, (family, build, size, channels) in _MODELS.items():
        make = functools.partial(_export, build)
        yield Entry(name, family, "tf-keras, tf2onnx", size, make, channels=channels)


def _application(name: str, side: int, keras: Any) -> Any:
    return getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=CLASSES)


def _regression(keras: Any) -> Any:
    """Return a network that measures one value of a grey image."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((96, 128, 1)),
            layers.Rescaling(1 / 127.5, offset=-1),
            *(part for wide in (16, 32, 64) for part in _step(layers, wide)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, name="length_mm"),
        ]
    )


def _multilabel(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((128, 128, 3)),
            *(part for wide in (16, 32, 64) for part in _step(layers, wide)),
            layers.GlobalMaxPooling2D(),
            layers.Dense(5, activation="sigmoid", name="labels"),
        ]
    )


def _step(layers: Any, wide: int) -> list[Any]:
    convolution = layers.Conv2D(wide, 3, strides=2, padding="same", use_bias=False)
    return [convolution, layers.BatchNormalization(), layers.Activation("swish")]


def _unet(keras: Any) -> Any:
    """Return a U-Net with a softmax over four classes in its last axis, as Keras' own example has it."""
    layers = keras.layers
    image = layers.Input((128, 128, 3))
    x, skipped = image, []
    for wide in (16, 32, 64):
        x = layers.Conv2D(wide, 3, padding="same", activation="relu")(x)
        skipped.append(x)
        x = layers.MaxPooling2D()(x)
    for wide in (64, 32, 16):
        x = layers.Conv2DTranspose(wide, 2, strides=2, padding="same")(x)
        x = layers.Concatenate()([x, skipped.pop()])
        x = layers.Conv2D(wide, 3, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(4, 1, activation="softmax", name="mask")(x))


_MODELS: dict[str, tuple[str, Callable[[Any], Any], tuple[int, int], int]] = {
    "keras-mobilenet-v3": ("MobileNetV3", functools.partial(_application, "MobileNetV3Small", 128), (128, 128), 3),
    "keras-efficientnet": ("EfficientNet", functools.partial(_application, "EfficientNetB0", 128), (128, 128), 3),
    "keras-regression": ("Regression", _regression, (96, 128), 1),
    "keras-multilabel": ("Multilabel", _multilabel, (128, 128), 3),
    "keras-unet": ("U-Net", _unet, (128, 128), 3),
}  # fmt: skip


def _export(build: Callable[[Any], Any], path: Path) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import tensorflow as tf
    import tf2onnx
    import tf_keras as keras

    keras.utils.set_random_seed(0)
    model = build(keras)
    shape = (None, *model.input_shape[1:])
    signature = [tf.TensorSpec(shape, tf.float32, name="image")]
    tf2onnx.convert.from_keras(model, input_signature=signature, opset=17, output_path=str(path))
