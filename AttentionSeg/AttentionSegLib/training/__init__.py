"""Making models: data, losses at work, the loop and its export."""

from .run import TrainedModel, plan_training, train_model

__all__ = ["TrainedModel", "plan_training", "train_model"]
