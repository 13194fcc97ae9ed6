"""rolecall: the AWS roles of machines outside AWS, on call, with no long-lived AWS secret."""

__version__ = "0.1.0"
