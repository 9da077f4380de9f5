"""BentoML with a V2 path: one worker, an async method so that no thread pool stands between."""

import bentoml
import onnx_session


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, traffic={"timeout": 60}, http={"host": "127.0.0.1"})
class Bench:
    def __init__(self) -> None:
        self.session = onnx_session.load()

    @bentoml.api(route=f"/v2/models/{onnx_session.NAME}/infer")
    async def infer(self, inputs: list[dict]) -> dict:
        answers = self.session.run(None, {"input": onnx_session.rows_of({"inputs": inputs})})
        return onnx_session.document_of(answers)
