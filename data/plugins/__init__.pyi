from .contract import called as called
from .contract import first_difference as first_difference
from .contract import global_seed as global_seed
from .parameters import mistyped as mistyped
from .registry import Registry as Registry
