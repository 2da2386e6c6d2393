"""A relay that makes the way longer: every byte arrives half a round trip later, and a connection's news, too."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Keep the order, and let later bytes travel while earlier ones still do."""
    loop = asyncio.get_running_loop()
    travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await travelling.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)

    arriving = asyncio.create_task(arrive())
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            travelling.put_nowait((loop.time() + delay, data))
    travelling.put_nowait((loop.time() + delay, b""))
    await arriving


async def _serve(port: int, round_trip: float, pipe: Connection) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip)  # what a handshake of TCP takes before the first byte can leave
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _pass_on(reader, there_writer, round_trip / 2), _pass_on(there_reader, writer, round_trip / 2)
        )

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)


def _run(port: int, round_trip: float, pipe: Connection) -> None:
    asyncio.run(_serve(port, round_trip, pipe))


@contextmanager
def delayed(port: int, round_trip: float) -> Iterator[int]:
    """Serve a port that leads to *port*, *round_trip* seconds away."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(port, round_trip, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
