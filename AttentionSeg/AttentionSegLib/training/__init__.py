"""Training of models: data, losses, the training loop, and the finished model."""

from .run import TrainedModel, plan_training, train_model
from .synthesis.settings import Synthesis

__all__ = ["Synthesis", "TrainedModel", "plan_training", "train_model"]
