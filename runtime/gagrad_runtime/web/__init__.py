"""What the viewer and the service share of HTTP: the server, its limits, and who may ask."""
