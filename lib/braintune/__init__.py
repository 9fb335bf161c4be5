"""Which tuning of a language model better accounts for language representations in the brain?"""

import warnings

__version__ = "0.2.0"

# transformers imports tqdm's notebook bar, which asks for widgets that nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")
