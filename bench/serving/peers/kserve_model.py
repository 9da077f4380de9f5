"""A custom model of KServe's Python server, as its documentation shows."""

import kserve
import onnx_session
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse


class Onnx(kserve.Model):
    def __init__(self) -> None:
        super().__init__(onnx_session.NAME)
        self.enable_latency_logging = False
        self.load()

    def load(self) -> bool:
        self.session = onnx_session.load()
        self.ready = True
        return True

    # Not a coroutine's await in sight: as `predict` of the documentation, on the event loop.
    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        answers = self.session.run(None, {"input": payload.inputs[0].as_numpy()})
        outputs = []
        for name, values in zip(onnx_session.OUTPUTS, answers, strict=True):
            output = InferOutput(name, list(values.shape), onnx_session.DATATYPES[values.dtype.name])
            output.set_data_from_numpy(values, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or "",
            model_name=self.name,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    kserve.ModelServer(workers=1, enable_latency_logging=False).start([Onnx()])
