"""`intellirouter version`."""

import platform

from intellirouter import __version__
from intellirouter.cli.output import emit
from intellirouter.cli.session import Output


def version(output: Output = "table") -> None:
    """Print the version of this program and of the Python it runs on."""
    data = {"intellirouter": __version__, "python": platform.python_version(), "platform": platform.platform()}
    emit(data, output, lambda: [f"intellirouter {__version__} (Python {data['python']}, {data['platform']})"])
