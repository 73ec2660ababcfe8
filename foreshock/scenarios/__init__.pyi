from .output import print_scenarios as print_scenarios
from .output import save_scenarios as save_scenarios
from .scenarios import ScenarioStudy as ScenarioStudy
from .scenarios import scenario_risk as scenario_risk
from .scenarios import scenario_study as scenario_study
