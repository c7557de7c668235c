"""What customers do in one month, as columns of numbers; names and texts are given where systems write them."""
