"""What training reads: preprocessing, patches, augmentation, leak and drift; bands and splits."""
