"""What the gateway tells about itself: log lines, metrics, and the admin listener."""
