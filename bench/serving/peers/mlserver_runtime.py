"""A custom runtime of MLServer, as its documentation shows: it has none of its own for ONNX."""

import onnx_session
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Onnx(MLModel):
    async def load(self) -> bool:
        self.session = onnx_session.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        answers = self.session.run(None, {"input": rows})
        outputs = [
            NumpyCodec.encode_output(name, values) for name, values in zip(onnx_session.OUTPUTS, answers, strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
