"""The TensorRT backend, without a GPU."""
