from .facts import Shown as Shown
