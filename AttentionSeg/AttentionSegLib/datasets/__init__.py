"""Labelled scans: which cases there are, which of them a training learns from, and what they are like."""
