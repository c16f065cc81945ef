"""Images drawn from label maps alone, so that a network learns to see any contrast (Billot et al. 2023, SynthSeg)."""
