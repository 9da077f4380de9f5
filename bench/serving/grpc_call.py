"""One gRPC call of bytes made beforehand, by grpcio: `python grpc_call.py ADDRESS METHOD REQUEST ANSWER`.

Run in the environment `tools`; needs nothing of this package.
"""

import sys
from pathlib import Path

import grpc


def main(address: str, method: str, request: str, answer: str) -> int:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(method, lambda raw: raw, lambda raw: raw)
        try:
            Path(answer).write_bytes(call(Path(request).read_bytes(), timeout=10))
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
