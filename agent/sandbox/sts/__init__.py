"""What does STS say to a call, and above all to a token?"""
