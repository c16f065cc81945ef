"""Synthesis of training images from label maps, so that a network works on any contrast (Billot et al. 2023, SynthSeg)."""
