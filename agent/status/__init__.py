"""How are we?"""
