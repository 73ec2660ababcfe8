from .comparison import load_models as load_models
from .comparison import load_results as load_results
from .comparison import print_comparison as print_comparison
from .comparison import save_comparison as save_comparison
