"""Making models: data, losses at work, the loop and its export."""
