"""What the viewer takes: time of its pages, of an event to a browser, memory, many stations."""
