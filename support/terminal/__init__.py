"""What does the user type and see?"""
