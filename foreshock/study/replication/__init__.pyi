from .sealed import open_sealed as open_sealed
