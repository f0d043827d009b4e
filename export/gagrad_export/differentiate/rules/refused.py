"""Operators whose derivative an exported graph cannot compute, each with the reason."""

from __future__ import annotations

from gagrad_export.differentiate.registry import refuse

refuse("NonMaxSuppression", "Range", "Unique", why="the size of its output depends on the image")
refuse("STFT", why="it transforms sound, and TensorRT has no kernel for it")
refuse("Det", why="its gradient needs the inverse of a matrix, and engines have no kernel for that")
refuse("MaxRoiPool", why="engines give the maximum but not its position; RoiAlign can be differentiated")
refuse("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", why="the rounding depends on the image")
refuse("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss", why="a loss: explain the scores")
refuse("SequenceMap", why="it runs a graph for each element of a sequence; write it as a Loop")
refuse("ImageDecoder", why="it reads an encoded file; explain a model of decoded images")
refuse("Optional", "OptionalGetElement", why="whether there is a value may depend on the image")
refuse("TensorScatter", why="it updates the cache of a text generator")
