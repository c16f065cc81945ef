"""AttentionSeg: segmentation by attention networks, with the attention maps beside it."""

__version__ = "0.1.0"
