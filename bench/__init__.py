"""How fast is it, compared with what others are content with?"""
