"""Downloads of any size: made while they are sent, no faster than the client reads them."""

from feed import announce

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 256  # 64 KiB
LARGEST = 16 * 1024  # MiB


def download(method, path, params, query, headers, body):
    """GET /download?mib=100: so many MiB."""
    wanted = query.get("mib", ["100"])[0]
    if not wanted.isdecimal() or len(wanted) > 5 or int(wanted) > LARGEST:
        return 400, f"expected mib= to be a number up to {LARGEST}\n", None
    total = int(wanted) * MIB
    return (
        200,
        blocks(total),
        {
            "Content-Type": "application/octet-stream",
            # The client sees how much is to come; the server holds the generator to it.
            "Content-Length": str(total),
            "Content-Disposition": f'attachment; filename="{wanted}-mib.bin"',
        },
    )


def blocks(total):
    """`total` bytes, block by block. A client that leaves closes the generator where it stands."""
    sent = 0
    try:
        while sent < total:
            yield BLOCK
            sent += len(BLOCK)
    finally:
        if sent == total:
            announce(f"A download of {total // MIB:,} MiB is complete.")
        else:
            announce(f"A client left after {sent / MIB:,.1f} of {total // MIB:,} MiB.")
