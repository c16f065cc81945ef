"""From what a dataset is like, and what a computer can do, to the settings of a training."""
