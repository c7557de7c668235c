"""Effects of strategies: declared ones, corrected by the company's own randomised decisions."""
