"""Numbers out: the Prometheus exposition of the site, its containers and racks, and the controller itself."""
