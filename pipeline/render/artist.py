"""The drawing process: reads requests line by line, draws frames, feeds an encoder each.

It runs apart from the worker so that drawing never holds up the worker's heartbeat, that each core
has a drawing process, and that a crash of a library costs a segment and not the worker. Requests on
stdin and answers on stdout are JSON lines; a failure is a line on stderr and exit code 1.
"""

import contextlib
import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2

from pipeline import children
from pipeline.render import files
from pipeline.render.clip import Undecodable
from pipeline.render.encoder import RenderOptions, encode_segment, options_from
from pipeline.render.plan import Plan
from pipeline.render.planes import Frame
from pipeline.render.scene import FilmArtist
from pipeline.render.thumbnail import draw_thumbnail

_PIPE_BYTES = 1 << 20
_FRAMES_A_REPORT = 15


def main() -> int:
    """Serve requests until stdin closes."""
    cv2.setNumThreads(1)  # the other cores have drawing processes of their own
    start = json.loads(sys.stdin.readline())
    plan = Plan.model_validate_json(Path(start["plan"]).read_bytes())
    options = options_from(start["options"])
    artist = FilmArtist(plan, options.ffmpeg)
    frame = Frame(plan.look.width, plan.look.height)
    for line in sys.stdin:
        request = json.loads(line)
        target = Path(request["target"])
        try:
            if request["kind"] == "thumbnail":
                draw_thumbnail(plan, request["text"], target)
            else:
                _draw_segment(artist, frame, request, options, plan)
        except (OSError, subprocess.SubprocessError, _EncoderFailed) as error:
            print(f"{target.name}: {error}", file=sys.stderr)  # noqa: T201
            return 1
        except Undecodable as error:
            _answer({"rejected": str(error)})
            return 1
        _answer({"done": target.name})
    return 0


class _EncoderFailed(Exception):
    """The encoder ended badly; says what it said."""


def _draw_segment(
    artist: FilmArtist, frame: Frame, request: dict[str, Any], options: RenderOptions, plan: Plan
) -> None:
    """Draw and encode frames first to last-1 into a temporary file, then give it its name."""
    target = Path(request["target"])
    part = files.temporary(target)
    arguments = children.command(encode_segment(options, plan.look, part))
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as encoder:
        pipe, errors = encoder.stdin, encoder.stderr
        if pipe is None or errors is None:
            raise _EncoderFailed("the encoder has no pipes")
        with contextlib.suppress(OSError):  # fewer wake-ups; a system may allow less
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            for n in range(request["first"], request["last"]):
                artist.draw(frame, n)
                pipe.write(frame.buffer.data)
                if (n - request["first"]) % _FRAMES_A_REPORT == _FRAMES_A_REPORT - 1:
                    _answer({"frames": _FRAMES_A_REPORT})
            pipe.close()
        except BrokenPipeError:
            contextlib.suppress(BrokenPipeError)
        except BaseException:
            encoder.kill()  # it would wait for frames that do not come
            raise
        finally:
            artist.close()
        said = errors.read().decode("utf-8", "replace")
        code = encoder.wait()
    if code:
        raise _EncoderFailed(children.failure("ffmpeg", code, said))
    files.keep(part, target)


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
