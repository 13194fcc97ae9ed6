"""What does a bucket give, and to whom?"""
