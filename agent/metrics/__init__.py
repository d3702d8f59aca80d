"""What Prometheus is told; see `table` for the metrics and `exposition` for the text."""
