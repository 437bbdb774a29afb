"""Tests of the file edge."""
