"""`python -m AttentionSegLib` is the command `attentionseg`."""

import sys

from .cli import main

sys.exit(main())
