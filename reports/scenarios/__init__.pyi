from .page import ScenarioReport as ScenarioReport
