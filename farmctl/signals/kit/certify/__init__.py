"""The conformance run: a fixed list of scenarios against one site, each a rule of the contract with its times."""
