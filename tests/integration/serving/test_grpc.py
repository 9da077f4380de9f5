"""gRPC as its own clients speak it: every method, errors, deadlines, compression, health, reflection, ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from plimsoll_serving.grpc.proto.messages import message

from tests.builders import onnx_models
from tests.integration.serving.grpc_client import (
    SERVICE,
    StreamResponse,
    channel,
    failure,
    infer,
    raw,
    stream,
    typed,
    unary,
)
from tests.integration.serving.harness import (
    COEFFICIENTS,
    INTERCEPTS,
    MODEL,
    RIGHT,
    Server,
    epochs,
    eventually,
    running,
    v2,
    write_route,
)

ROW = [[1.0, 2.0, 3.0, 4.0]]


@pytest.fixture
def opened(server: Server) -> Iterator[grpc.Channel]:
    with channel(server) as one:
        yield one


def arrays(answer: Any) -> tuple[list[int], list[float]]:
    """Labels and probabilities of a raw answer."""
    labels, probabilities = answer.raw_output_contents
    return np.frombuffer(labels, np.int64).tolist(), np.frombuffer(probabilities, np.float32).tolist()


def test_the_server_tells_that_it_lives_is_ready_and_what_it_is(opened: grpc.Channel) -> None:
    assert unary(opened, "ServerLive")(message("inference.ServerLiveRequest")()).live
    assert unary(opened, "ServerReady")(message("inference.ServerReadyRequest")()).ready
    told = unary(opened, "ServerMetadata")(message("inference.ServerMetadataRequest")())
    assert (told.name, list(told.extensions)) == ("plimsoll", ["binary_tensor_data", "model_repository"])


def test_a_model_tells_its_tensors(opened: grpc.Channel) -> None:
    asked = message("inference.ModelMetadataRequest")(name=MODEL)
    told = unary(opened, "ModelMetadata")(asked)
    assert (told.name, list(told.versions), told.platform) == (MODEL, ["1"], "onnx_onnxv1")
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [("input", "FP32", [-1, 4])]
    assert [one.name for one in told.outputs] == ["label", "probabilities"]


def test_a_model_is_ready_and_another_is_not_found(opened: grpc.Channel) -> None:
    ready, asked = unary(opened, "ModelReady"), message("inference.ModelReadyRequest")
    assert ready(asked(name=MODEL)).ready
    assert ready(asked(name=MODEL, version="1")).ready
    code, text = failure(lambda: ready(asked(name="other")))
    assert (code, text) == (StatusCode.NOT_FOUND, "model 'other' is not served here; this server serves 'digits'")


def test_raw_tensors_are_answered_raw_with_what_rest_answers(server: Server, opened: grpc.Channel) -> None:
    answer = infer(opened)(raw([*ROW, [4, 3, 2, 1]], id="mine"))
    rest = server.infer(v2([1, 2, 3, 4], [4, 3, 2, 1])).json()
    assert (answer.id, answer.model_name, answer.model_version) == ("mine", MODEL, "1")
    assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [
        (one["name"], one["datatype"], one["shape"]) for one in rest["outputs"]
    ]
    labels, probabilities = arrays(answer)
    assert labels == rest["outputs"][0]["data"]
    assert probabilities == [np.float32(value) for value in rest["outputs"][1]["data"]]


def test_typed_contents_are_answered_with_typed_contents(opened: grpc.Channel) -> None:
    answer = infer(opened)(typed(ROW))
    labels, probabilities = arrays(infer(opened)(raw(ROW)))
    assert not answer.raw_output_contents
    assert list(answer.outputs[0].contents.int64_contents) == labels
    assert list(answer.outputs[1].contents.fp32_contents) == probabilities


def test_only_the_outputs_asked_for_are_answered(opened: grpc.Channel) -> None:
    request = raw(ROW)
    request.outputs.add(name="probabilities")
    answer = infer(opened)(request)
    assert [one.name for one in answer.outputs] == ["probabilities"]
    assert len(answer.raw_output_contents) == 1


def test_the_headers_of_rest_are_the_metadata_of_grpc(opened: grpc.Channel) -> None:
    _, call = infer(opened).with_call(raw(ROW))
    metadata = dict(call.initial_metadata())
    assert (metadata["plimsoll-model-version"], metadata["plimsoll-revision"]) == ("1", "digits-alone")


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (raw(ROW, model_name="other"), StatusCode.NOT_FOUND, "model 'other' is not served here"),
        (raw(ROW, model_version="9"), StatusCode.NOT_FOUND, "version '9' of model 'digits' is not served here"),
        (raw(ROW, model_name=""), StatusCode.INVALID_ARGUMENT, "the model's name is missing"),
        (raw([[1.0, 2.0]]), StatusCode.INVALID_ARGUMENT, "inputs[0].shape is [1, 2], but input 'input' takes [-1, 4]"),
        (message("inference.ModelInferRequest")(model_name=MODEL), StatusCode.INVALID_ARGUMENT, "inputs lacks input"),
    ],
)
def test_an_error_is_a_status_with_the_sentence_of_rest(
    opened: grpc.Channel, request_: Any, code: StatusCode, text: str
) -> None:
    told, sentence = failure(lambda: infer(opened)(request_))
    assert told is code
    assert sentence.startswith(text)


def test_a_message_that_is_no_protocol_buffer_is_refused(opened: grpc.Channel) -> None:
    call = opened.unary_unary(SERVICE + "ModelInfer")
    code, text = failure(lambda: call(b"\xff\xff\xff"))
    assert (code, text) == (StatusCode.INVALID_ARGUMENT, "the message is not an inference.ModelInferRequest")


def test_a_method_that_is_not_served_is_unimplemented(opened: grpc.Channel) -> None:
    code, text = failure(lambda: opened.unary_unary(SERVICE + "ModelConfig")(b""))
    assert (code, text) == (
        StatusCode.UNIMPLEMENTED,
        "no method is served at /inference.GRPCInferenceService/ModelConfig",
    )


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_loading_and_unloading_is_off_by_default(opened: grpc.Channel, method: str) -> None:
    asked = message(f"inference.{method}Request")(model_name=MODEL)
    code, text = failure(lambda: unary(opened, method)(asked))
    assert code in (StatusCode.UNIMPLEMENTED, StatusCode.PERMISSION_DENIED)
    assert text


def test_a_message_beyond_the_limit_is_refused_and_the_connection_serves_on(opened: grpc.Channel) -> None:
    code, text = failure(lambda: infer(opened)(raw(np.ones((7000, 4)))))
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert text.endswith("exceeds 100000 bytes")
    assert infer(opened)(raw(ROW)).model_version == "1"


def test_a_compressed_message_is_read_and_answered_compressed(opened: grpc.Channel) -> None:
    rows = np.ones((2000, 4))
    answer, call = infer(opened).with_call(raw(rows), compression=grpc.Compression.Gzip)
    assert arrays(answer)[0] == arrays(infer(opened)(raw(rows)))[0]
    assert len(arrays(answer)[1]) == 6000
    assert call.code() is StatusCode.OK


def test_a_message_that_decompresses_beyond_the_limit_is_refused(opened: grpc.Channel) -> None:
    code, text = failure(lambda: infer(opened)(raw(np.ones((20_000, 4))), compression=grpc.Compression.Gzip))
    assert (code, text) == (StatusCode.RESOURCE_EXHAUSTED, "the message exceeds 100000 bytes when decompressed")


def test_a_compression_that_is_not_served_is_unimplemented(opened: grpc.Channel) -> None:
    code, text = failure(lambda: infer(opened)(raw(np.ones((100, 4))), compression=grpc.Compression.Deflate))
    assert (code, text) == (StatusCode.UNIMPLEMENTED, "grpc-encoding 'deflate' is not served; identity and gzip are")


def test_a_stream_answers_each_request_in_its_turn_and_an_error_does_not_end_it(opened: grpc.Channel) -> None:
    requests = [raw(ROW, id=str(number), model_name="other" if number == 3 else MODEL) for number in range(100)]
    answers = list(stream(opened)(iter(requests)))
    assert [one.infer_response.id for one in answers if not one.error_message] == [
        str(number) for number in range(100) if number != 3
    ]
    assert answers[3].error_message.startswith("model 'other' is not served here")


def test_a_stream_answers_before_it_ends(opened: grpc.Channel) -> None:
    asked = threading.Semaphore(0)

    def requests() -> Iterator[Any]:
        for number in range(3):
            yield raw(ROW, id=str(number))
            assert asked.acquire(timeout=60)

    seen = []
    for answer in stream(opened)(requests()):
        seen.append(answer.infer_response.id)
        asked.release()
    assert seen == ["0", "1", "2"]


def test_many_calls_at_once_on_one_connection_each_get_their_own_answer(server: Server) -> None:
    with channel(server) as opened, ThreadPoolExecutor(16) as pool:
        call = infer(opened)
        futures = [call.future(raw([[n, 0, 0, 0]], id=str(n))) for n in range(600)]
        answers = [future.result(timeout=120) for future in futures]
        assert [answer.id for answer in answers] == [str(n) for n in range(600)]
        alone = list(pool.map(lambda n: arrays(call(raw([[n, 0, 0, 0]]))), range(0, 600, 20)))
        for n, expected in zip(range(0, 600, 20), alone, strict=True):
            assert arrays(answers[n])[0] == expected[0]
            # In a batch a sum may be rounded otherwise; the exponential makes more of it.
            assert arrays(answers[n])[1] == pytest.approx(expected[1], rel=1e-3)


def test_health_is_told_for_the_server_its_services_and_no_others(opened: grpc.Channel) -> None:
    check, asked = health_pb2_grpc.HealthStub(opened).Check, health_pb2.HealthCheckRequest
    assert check(asked()).status == health_pb2.HealthCheckResponse.SERVING
    assert check(asked(service="inference.GRPCInferenceService")).status == health_pb2.HealthCheckResponse.SERVING
    assert failure(lambda: check(asked(service="other")))[0] is StatusCode.NOT_FOUND


def test_a_service_that_is_unknown_can_be_watched(opened: grpc.Channel) -> None:
    watch = health_pb2_grpc.HealthStub(opened).Watch(health_pb2.HealthCheckRequest(service="other"))
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_tells_the_services_and_their_files(opened: grpc.Channel) -> None:
    request = reflection_pb2.ServerReflectionRequest
    asked = [
        request(list_services=""),
        request(file_containing_symbol="inference.GRPCInferenceService"),
        request(file_by_filename="health.proto"),
        request(file_containing_symbol="inference.Other"),
        request(all_extension_numbers_of_type="inference.ModelInferRequest"),
    ]
    listed, inference, health, unknown, extensions = reflection_pb2_grpc.ServerReflectionStub(
        opened
    ).ServerReflectionInfo(iter(asked))
    assert {one.name for one in listed.list_services_response.service} == {
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    (file,) = map(FileDescriptorProto.FromString, inference.file_descriptor_response.file_descriptor_proto)
    assert [method.name for method in file.service[0].method][:2] == ["ServerLive", "ServerReady"]
    assert health.file_descriptor_response.file_descriptor_proto
    assert unknown.error_response.error_code == StatusCode.NOT_FOUND.value[0]
    assert extensions.all_extension_numbers_response.base_type_name == "inference.ModelInferRequest"


def test_reflection_is_served_in_its_first_version_too(opened: grpc.Channel) -> None:
    request = message("grpc.reflection.v1.ServerReflectionRequest")(list_services="")
    call = opened.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    (answer,) = call(iter([request.SerializeToString()]))
    listed = message("grpc.reflection.v1.ServerReflectionResponse").FromString(answer)
    assert len(listed.list_services_response.service) == 4


# A server of its own: large messages, slow answers, ends.


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Takes seconds for rows whose first feature is not 0, and connections live a second."""
    model = onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=20_000, feature=0)
    server = Server(
        tmp_path_factory.mktemp("slow"), model, "digits-slow", PLIMSOLL_CONNECTION_SECONDS="1.5", PLIMSOLL_WORKERS="1"
    )
    with running(server):
        yield server


QUICK_ROW = [[0.0, 2.0, 3.0, 4.0]]


def test_a_deadline_ends_the_call_and_what_waits_is_not_computed(slow: Server) -> None:
    with channel(slow, "grpc_direct") as opened:
        call = infer(opened)
        assert failure(lambda: call(raw(ROW), timeout=0.1))[0] is StatusCode.DEADLINE_EXCEEDED
        assert call(raw(QUICK_ROW), timeout=120).model_version == "1"


def test_a_call_that_is_taken_back_leaves_the_connection_as_it_was(slow: Server) -> None:
    with channel(slow, "grpc_direct") as opened:
        call = infer(opened)
        futures = [call.future(raw(ROW)) for _ in range(50)]
        time.sleep(0.05)
        for future in futures:
            future.cancel()
        assert call(raw(QUICK_ROW), timeout=120).model_version == "1"


def test_connections_are_replaced_under_load_without_a_failed_call(slow: Server) -> None:
    peers = set()
    with channel(slow) as opened:
        call = infer(opened)

        def replaced_twice() -> bool:
            call(raw(QUICK_ROW), timeout=60)
            peers.update(slow_connections(slow))
            return len(peers) > 2

        eventually(replaced_twice, "two more connections")


def slow_connections(server: Server) -> frozenset[str]:
    """Local ends of the established connections of a port, as the kernel tells them."""
    wanted = f":{server.ports['grpc']:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return frozenset(row[2] for row in rows if row[1].endswith(wanted) and row[3] == "01")


def test_large_messages_go_both_ways(tmp_path: Path) -> None:
    rows = np.arange(1_200_000, dtype=np.float32).reshape(-1, 4) % 7
    with (
        running(Server(tmp_path, RIGHT, "digits-large")) as (server,),
        channel(server, grpc__max_receive_message_length=-1) as opened,
    ):
        answer = infer(opened)(raw(rows), timeout=60)
        assert len(arrays(answer)[0]) == 300_000
        assert arrays(answer)[0][:50] == arrays(infer(opened)(raw(rows[:50])))[0]
        zipped = infer(opened)(raw(rows), timeout=60, compression=grpc.Compression.Gzip)
        assert arrays(zipped)[0] == arrays(answer)[0]


def test_keepalive_pings_are_answered(server: Server) -> None:
    with channel(
        server,
        grpc__keepalive_time_ms=100,
        grpc__keepalive_timeout_ms=2000,
        grpc__keepalive_permit_without_calls=1,
        grpc__http2__max_pings_without_data=0,
    ) as opened:
        first = infer(opened)(raw(ROW))
        time.sleep(1.5)
        assert infer(opened)(raw(ROW)).raw_output_contents == first.raw_output_contents


def received(server: Server) -> float:
    return server.counts("plimsoll_inflight_requests", "model")[MODEL] + server.answered()


def test_a_server_that_ends_says_so_finishes_what_it_has_and_goes(tmp_path: Path) -> None:
    model = onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=5000, feature=0)
    with (
        running(Server(tmp_path, model, "digits-end", PLIMSOLL_DRAIN_SECONDS="1")) as (server,),
        channel(server) as opened,
        channel(server) as watcher,
    ):
        watch = health_pb2_grpc.HealthStub(watcher).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        answer = infer(opened).future(raw(ROW))
        eventually(lambda: received(server) >= 1, "the call has come")
        code: list[int] = []
        stopping = threading.Thread(target=lambda: code.append(server.stop()))
        stopping.start()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert answer.result(timeout=120).model_version == "1"
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        assert ended.value.code() is StatusCode.UNAVAILABLE
        stopping.join(120)
        assert code == [0]
        assert server.log()[-1]["message"] == "stopped: every request was answered"


# The route


def test_the_share_of_a_candidate_is_delegated_and_a_broken_one_costs_nothing(pair: tuple[Server, Server]) -> None:
    stable, candidate = pair
    write_route([stable, candidate], stable, next(epochs), [0, 100])
    with channel(stable) as opened, channel(stable, "grpc_direct") as direct:
        answer, call = infer(opened).with_call(raw(ROW))
        assert answer.model_version == "2"
        assert dict(call.initial_metadata())["plimsoll-model-version"] == "2"
        assert infer(direct)(raw(ROW)).model_version == "1"
        assert infer(opened)(raw(ROW, model_version="1")).model_version == "1"
        poison = raw([[1000.0, 2.0, 3.0, 4.0]])
        assert infer(opened)(poison).model_version == "1"
        (streamed,) = stream(opened)(iter([raw(ROW)]))
        assert streamed.infer_response.model_version == "2"
    with channel(candidate) as opened:
        assert eventually(lambda: infer(opened)(typed(ROW)).outputs[0].contents.int64_contents, "an answer")
    assert isinstance(streamed, StreamResponse)
