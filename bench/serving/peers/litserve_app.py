"""LitServe with a V2 path: the settings are said in `bench/serving/servers.py`."""

import litserve
import numpy as np
import onnx_session


class Onnx(litserve.LitAPI):
    """Requests that wait together go in one call; rows are given back to their requests."""

    def setup(self, device):
        self.session = onnx_session.load()

    def decode_request(self, request):
        return onnx_session.rows_of(request)

    def predict(self, rows):
        return self.session.run(None, {"input": rows})

    def encode_response(self, output):
        return onnx_session.document_of(output)

    def batch(self, inputs):
        self.sizes = [len(rows) for rows in inputs]
        return np.concatenate(inputs)

    def unbatch(self, output):
        edges = np.cumsum(self.sizes)[:-1]
        return list(zip(*(np.split(values, edges) for values in output), strict=True))


if __name__ == "__main__":
    path = f"/v2/models/{onnx_session.NAME}/infer"
    api = Onnx(api_path=path, max_batch_size=64, batch_timeout=0.005)
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=1,
        fast_queue=True,
        healthcheck_path="/ready",
    )
    server.run(
        host="127.0.0.1",
        port=onnx_session.PORT,
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
