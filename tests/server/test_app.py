"""Who gets in and what HTTP gives, seen from the wire."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rawprint import __version__
from rawprint_server import app as app_module
from rawprint_server.app import ListenError

from .conftest import PATIENCE, Client

POS = "https://pos.example.com"
