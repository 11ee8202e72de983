"""What latents are good for besides pictures: features and anomalies, from pixels or files."""
