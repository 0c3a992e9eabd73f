"""Who is told: messages out of pictures, an outbox on disk for every channel, and the ways that they travel."""
