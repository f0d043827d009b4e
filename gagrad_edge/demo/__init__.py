"""The demo's classifier, its class names, six sample parts and the masks of their defects."""
