"""What the company's systems write down about the world: files in the shapes real systems have, defects included."""
