"""Where blobs stand: the adapters of `patrol.blobs.BlobStore`, and photos that wait in somebody's bucket."""
