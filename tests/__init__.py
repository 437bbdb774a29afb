"""Tests, by area; every file is named after the behaviour it checks."""
