"""What do API Gateway, Google Cloud, Entra ID and Vault say to a token?"""
