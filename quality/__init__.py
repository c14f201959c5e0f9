"""May this day go on, and may this model replace the champion?"""
