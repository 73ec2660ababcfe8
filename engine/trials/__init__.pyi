from .chain import Entry as Entry
from .hold_out import HoldOut as HoldOut
from .ledger import Ledger as Ledger
from .ledger import Verification as Verification
