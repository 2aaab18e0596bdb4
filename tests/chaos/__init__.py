"""Kill everything, everywhere, and count what is lost, doubled, brought back or paid for twice."""
