"""Making models: data, losses at work, the loop and its export."""

from .run import TrainedModel, plan_training, train_model
from .synthesis.settings import Synthesis

__all__ = ["Synthesis", "TrainedModel", "plan_training", "train_model"]
