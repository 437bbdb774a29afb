"""The HTTP edge: metrics, health, explain, snapshot export."""
