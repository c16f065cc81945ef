"""The command `attentionseg` as `python -m AttentionSegLib`."""

import sys

from .cli import main

sys.exit(main())
