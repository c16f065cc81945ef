"""What the user touches: presenters without Qt that hold the state, and panels that bind it to widgets."""
