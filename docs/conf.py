"""Settings of Sphinx, which makes the pages: `python3 Testing/run.py docs`."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "docs"))
sys.path.insert(0, str(REPOSITORY / "AttentionSeg"))

from AttentionSegLib import __version__  # noqa: E402 (the path comes first)

project = "AttentionSeg"
author = copyright = "AttentionSeg developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxarg.ext"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"AttentionSeg {version}"
# As typed in a shell.
smartquotes = False
# Docstrings write code between single backticks.
default_role = "code"
myst_heading_anchors = 3
# Signatures and docstrings need none of them, and they take long to import.
autodoc_mock_imports = ["ctk", "lightning", "matplotlib", "monai", "qt", "safetensors", "scipy", "SimpleITK", "slicer", "torch", "vtk"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"
python_maximum_signature_line_length = 100
