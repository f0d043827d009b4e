"""The service: predictions and explanations on the Open Inference Protocol, version 2."""
