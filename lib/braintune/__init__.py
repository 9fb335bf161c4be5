"""Which tuning of a language model accounts better for the brain's language representations?"""

__version__ = "0.1.0"
