"""What does Amazon Cognito say to those who sign in, and to those who bring a token of a sign-in?"""
