from .registry import Registry as Registry
