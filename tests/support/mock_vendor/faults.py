"""Every fault with every choice of its parameters, in the notation of `x-mock-fault`."""

from intellirouter.testing import FAULT_KINDS

EVERY_FAULT = [
    kind + "".join(f";{name}={value}" for name, value in chosen)
    for kind, known in FAULT_KINDS.items()
    for chosen in (
        [[(name, value)] for name, values in known.choices.items() for value in values] if known.choices else [[]]
    )
]
