"""Where a station's frames come from: a folder, a video file, a camera."""
