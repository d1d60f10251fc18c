"""Pixels in, findings out: numpy and torch, no DICOM library, no network."""
