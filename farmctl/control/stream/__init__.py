"""List and watch: one snapshot of the site, then what changed, revision by revision, to any number of clients."""
