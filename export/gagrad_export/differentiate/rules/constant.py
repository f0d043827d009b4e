"""Operators whose derivative is zero wherever it exists: steps, comparisons, logic, shapes, indices."""

from __future__ import annotations

from gagrad_export.differentiate.registry import zero_derivative

zero_derivative("Ceil", "Floor", "Round", "Sign")
zero_derivative("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsInf", "IsNaN")
zero_derivative("And", "Not", "Or", "Xor")
zero_derivative("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor")
zero_derivative("ArgMax", "ArgMin", "Hardmax", "NonZero")
zero_derivative("ConstantOfShape", "EyeLike", "Shape", "Size")
zero_derivative("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix")
zero_derivative("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
zero_derivative("Bernoulli", "Multinomial")
