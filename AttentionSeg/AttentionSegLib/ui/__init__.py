"""The panel of the Slicer module: presenters without Qt hold the state, panels bind it to widgets."""
