"""Findings in, DICOM out: no network, no torch, no clock, no randomness."""
