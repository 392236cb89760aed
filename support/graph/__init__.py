"""What may stand around the plain model?"""
