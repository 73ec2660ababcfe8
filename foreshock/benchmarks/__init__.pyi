from .common import save_benchmark as save_benchmark
from .models import model_comparison as model_comparison
from .nab import nab_benchmark as nab_benchmark
from .planted import planted_benchmark as planted_benchmark
from .pumps import pumps_benchmark as pumps_benchmark
from .strategies import strategy_comparison as strategy_comparison
