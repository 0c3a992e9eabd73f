"""The glass: what operators look at and act through; a process of its own that knows nouns and the Feed port only."""
