"""What tiles hold: ANS-coded symbols, lossless pixels, residuals."""
