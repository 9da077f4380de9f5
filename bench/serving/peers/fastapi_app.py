"""FastAPI as its users write it when they want speed: the raw body, orjson, no response model."""

import onnx_session
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

app = FastAPI(openapi_url=None)
session = onnx_session.load()


@app.get("/ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post(f"/v2/models/{onnx_session.NAME}/infer")
async def infer(request: Request) -> Response:
    # On the event loop: a thread pool costs more than such a model takes.
    rows = onnx_session.rows_of(orjson.loads(await request.body()))
    answers = session.run(None, {"input": rows})
    return Response(orjson.dumps(onnx_session.document_of(answers)), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=onnx_session.PORT,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
