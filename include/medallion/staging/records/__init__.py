"""Records of what is staged: typed documents with checksums, manifests, reconciles in progress, batch ids in use."""
