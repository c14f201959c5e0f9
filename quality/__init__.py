"""May this day continue, and may this model replace the champion?"""
