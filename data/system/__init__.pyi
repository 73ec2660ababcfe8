from .disk import check_writable as check_writable
from .disk import write_whole as write_whole
from .disk import written_together as written_together
from .disk import written_whole as written_whole
from .locks import lock as lock
from .threads import for_each_in_threads as for_each_in_threads
