"""The seven screens, one file each; a screen lays out widgets and tells them what to show."""
