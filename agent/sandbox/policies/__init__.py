"""What do IAM policies mean?"""
