"""AttentionSeg: segmentation by attention networks, with their attention maps."""

__version__ = "0.1.0"
RESEARCH_ONLY = "For research only; not a medical device."
