"""Text: what customers write, read for language, sentiment, topic, reason and urgency; its words are not kept."""
