"""The process that speaks: run as a script of its own, never imported by the application.

The eSpeak NG library is one global state machine in C: it is not thread-safe, and a crash in it
would take a worker and its other jobs along. Reads one JSON request on stdin, writes raw 16-bit PCM
to the request's `output`, and answers one JSON object on stdout: `rate` in samples a second, and
`events`, a list of [character of the text, sample] for every word spoken. Standard library only.
"""

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
CHARS_UTF8 = 1
POSITION_CHARACTER = 1
EVENT_LIST_TERMINATED = 0
EVENT_WORD = 1
PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4, "gap": 7}


class Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h; `sample` counts from the start of the speech."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
)


def speak(request: dict[str, Any], output: BinaryIO) -> dict[str, Any]:
    """Synthesize into `output`; exits with a message when the library refuses."""
    library = ctypes.CDLL(request["library"])
    # The library keeps its data path in 160 bytes; a relative one fits wherever we are installed.
    os.chdir(Path(request["data"]).parent)
    rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", INITIALIZE_DONT_EXIT)
    if rate <= 0:
        sys.exit(f"eSpeak NG does not start with its data in {request['data']}")
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        sys.exit(f"eSpeak NG has no voice {request['voice']!r}")
    for name, number in PARAMETERS.items():
        if library.espeak_SetParameter(number, request[name], 0) != 0:
            sys.exit(f"eSpeak NG refuses {name} = {request[name]}")

    events: list[tuple[int, int]] = []
    trouble: list[str] = []

    def receive(samples: Any, count: int, list_of_events: Any) -> int:
        # An exception must not cross the C frames: it ends the synthesis and is told afterwards.
        try:
            if samples and count > 0:
                output.write(ctypes.string_at(samples, count * 2))
            index = 0
            while list_of_events[index].type != EVENT_LIST_TERMINATED:
                event = list_of_events[index]
                if event.type == EVENT_WORD:
                    events.append((event.text_position - 1, event.sample))
                index += 1
        except OSError as error:
            trouble.append(f"writing the speech failed: {error}")
            return 1
        return 0

    callback = SynthCallback(receive)
    library.espeak_SetSynthCallback(callback)
    text = request["text"].encode() + b"\0"
    status = library.espeak_Synth(
        text, ctypes.c_size_t(len(text)), 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None
    )
    if trouble or status != 0 or library.espeak_Synchronize() != 0:
        sys.exit(trouble[0] if trouble else f"eSpeak NG fails with status {status}")
    return {"rate": rate, "events": events}


def main() -> None:
    """One request, one answer."""
    request = json.load(sys.stdin)
    with Path(request["output"]).open("wb") as output:
        answer = speak(request, output)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
