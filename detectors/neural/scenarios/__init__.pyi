from .gan import GANScenarios as GANScenarios
from .load import load_scenario_model as load_scenario_model
from .model import ScenarioModel as ScenarioModel
from .model import Scenarios as Scenarios
from .model import generate_scenarios as generate_scenarios
from .vae import ConditionalVAEScenarios as ConditionalVAEScenarios
from .vae import VAEScenarios as VAEScenarios
