"""The configuration of a pair: models, loading, secrets."""

from .load import load_config
from .models import Client, Config, Node, Session
from .receivers import Receiver
from .secrets import read_key, read_secret
from .units import Address

__all__ = ["Address", "Client", "Config", "Node", "Receiver", "Session", "load_config", "read_key", "read_secret"]
