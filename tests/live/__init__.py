"""The whole live scheduler, without a network."""
