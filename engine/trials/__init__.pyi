from .chain import Entry as Entry
from .chain import digest as digest
from .hold_out import HoldOut as HoldOut
from .ledger import TRIAL as TRIAL
from .ledger import Ledger as Ledger
