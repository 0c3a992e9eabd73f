"""Questions that stand in front of a screen: an order with its preview, a note, help, columns, one miner."""
