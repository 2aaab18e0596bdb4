"""
What runs and reconciles recorded of themselves: a small Delta table that maintenance bounds.

Owns the table `runs` of the lake. May import all packages below `ops`.
"""
