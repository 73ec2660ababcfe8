from .hold_out import HoldOut as HoldOut
from .ledger import TRIAL as TRIAL
from .ledger import Entry as Entry
from .ledger import Ledger as Ledger
from .ledger import digest as digest
