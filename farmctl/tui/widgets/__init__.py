"""Widgets that paint on Textual's Line API and do no input or output of their own."""
